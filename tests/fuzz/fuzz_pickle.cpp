// Pickle machine on any bytes: refuses with Error or gives a tree that can be walked.
#include "models/weights/pickle_machine.h"
#include "models/weights/value_document.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  using namespace mtyolo::models;
  try {
    ByteReader reader(std::as_bytes(std::span(data, size)));
    PickleOptions options;
    options.file_bytes = size;
    options.allow_storages = options.allow_modules = true;
    const PickleTree tree = parse_pickle(reader, options);
    to_document(tree, tree.root());
  } catch (const Error&) {
  }
  return 0;
}

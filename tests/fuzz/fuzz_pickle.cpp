// Pickle machine on any bytes: refuses with Error or gives a tree that can be walked, whose plain values come
// back the same when they are written and read again.
#include <cstdlib>

#include "models/weights/pickle_machine.h"
#include "models/weights/pickle_writer.h"
#include "models/weights/value_document.h"

namespace {

using namespace mtyolo;
using namespace mtyolo::models;

Document plain_values(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  PickleOptions options;
  options.file_bytes = bytes.size();
  options.allow_storages = options.allow_modules = true;
  const PickleTree tree = parse_pickle(reader, options);
  return to_document(tree, tree.root());
}

bool same(const Document& a, const Document& b) {
  if (a.kind != b.kind || a.text != b.text || a.quoted_text != b.quoted_text ||
      a.items.size() != b.items.size() || a.fields.size() != b.fields.size())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!same(a.items[i], b.items[i])) return false;
  for (size_t i = 0; i < a.fields.size(); ++i)
    if (a.fields[i].first != b.fields[i].first || !same(a.fields[i].second, b.fields[i].second)) return false;
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Document document;
  try {
    document = plain_values(std::as_bytes(std::span(data, size)));
  } catch (const Error&) {
    return 0;
  }
  PickleWriter writer;
  writer.document(document);
  const std::string written = writer.finish();
  if (!same(plain_values(std::as_bytes(std::span(written))), document)) std::abort();
  return 0;
}

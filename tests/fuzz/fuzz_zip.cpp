// Zip reader: refuses with Error or gives entries whose ranges lie inside the file and do not overlap.
#include <cstdlib>

#include "core/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  try {
    ZipReader zip(std::as_bytes(std::span(data, size)));
    for (const ZipEntry& a : zip.entries())
      if (a.data_offset + a.compressed > size || zip.find(a.name) != &a) std::abort();
    const std::vector<ZipContent> contents = zip.read();
    for (size_t i = 0; i < contents.size(); ++i)
      if (contents[i].bytes.size() != zip.entries()[i].size) std::abort();
  } catch (const Error&) {
  }
  return 0;
}

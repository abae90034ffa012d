// Safetensors: refused, or the tensors together are exactly the data of the file. Packed weights are such
// files with checksums.
#include <cstdlib>

#include "models/plan/packed_weights.h"
#include "models/weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  try {
    const auto tensors = models::parse_safetensors(std::as_bytes(std::span(data, size)), nullptr);
    size_t bytes = 0;
    for (const auto& [name, tensor] : tensors.entries()) bytes += tensor.size_bytes();
    size_t header = 0;
    for (int i = 7; i >= 0; --i) header = header << 8 | data[i];
    if (8 + header + bytes != size) std::abort();
    static Context ctx(1);
    if (models::parse_packed(ctx, std::as_bytes(std::span(data, size)), nullptr).size() != tensors.size())
      std::abort();
  } catch (const Error&) {
  }
  return 0;
}

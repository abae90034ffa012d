// Hostile files in the folder of the image cache: refused, or a whole picture.
// Covers data/image_cache.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "data/image_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const mtyolo::data::CacheKey key{"a", 1, 2, 3, true};
  const auto image = mtyolo::data::decode_cached_image(std::as_bytes(std::span(data, size)), key);
  if (image && image->pixels.size() != size_t(image->width) * size_t(image->height) * 3) std::abort();
  return 0;
}

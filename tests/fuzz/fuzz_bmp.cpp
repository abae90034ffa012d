// Hostile BMP files through decode_image: refused, or a whole picture of the size that image_size read.
// Inputs of other formats are tried as they are.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/log.h"
#include "data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mtyolo::log::configure(mtyolo::log::Level::kOff);
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const mtyolo::data::Image image = mtyolo::data::decode_image(bytes, "fuzz.bmp");
    if (image.pixels.size() != size_t(image.width) * size_t(image.height) * 3) std::abort();
    const mtyolo::data::ImageSize size_said = mtyolo::data::image_size(bytes, "fuzz.bmp");
    if (size_said.width != image.width || size_said.height != image.height) std::abort();
  } catch (const mtyolo::Error&) {
  }
  return 0;
}

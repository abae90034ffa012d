// Hostile PNG files through decode_image. Inputs of other formats are tried as they are.
#include <cstddef>
#include <cstdint>

#include "core/error.h"
#include "core/log.h"
#include "data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mtyolo::log::configure(mtyolo::log::Level::kOff);
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const mtyolo::data::Image image = mtyolo::data::decode_image(bytes, "fuzz.png");
    MTYOLO_CHECK(image.pixels.size() == size_t(image.width) * size_t(image.height) * 3, "half-filled image");
  } catch (const mtyolo::Error&) {
    return 0;  // refusing is right; crashing, hanging and other exceptions are not
  }
  return 0;
}

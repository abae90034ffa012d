// Hostile JPEG files through decode_image: refused, or a whole picture of the size that image_size read. Our
// own decoder takes none that libjpeg refuses or warns of, and has its pixels. Inputs of other formats are
// tried as they are.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/log.h"
#include "data/codec.h"

namespace {

// Empty if it is refused.
std::vector<uint8_t> pixels_by(mtyolo::data::JpegPath path, std::span<const std::byte> bytes) {
  try {
    return decode_jpeg(bytes, "fuzz.jpeg", mtyolo::data::DamagePolicy::kRefuse, path).pixels;
  } catch (const mtyolo::Error&) {
    return {};
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mtyolo::log::configure(mtyolo::log::Level::kOff);
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const mtyolo::data::Image image = mtyolo::data::decode_image(bytes, "fuzz.jpeg");
    if (image.pixels.size() != size_t(image.width) * size_t(image.height) * 3) std::abort();
    const mtyolo::data::ImageSize size_said = mtyolo::data::image_size(bytes, "fuzz.jpeg");
    using mtyolo::data::JpegPath;
    if (mtyolo::data::sniff_image(bytes).format == mtyolo::data::ImageFormat::kJpeg &&
        pixels_by(JpegPath::kFastest, bytes) != pixels_by(JpegPath::kLibrary, bytes))
      std::abort();
    if (size_said.width != image.width || size_said.height != image.height) std::abort();
  } catch (const mtyolo::Error&) {
  }
  return 0;
}

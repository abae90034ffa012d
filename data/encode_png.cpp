// PNG by libpng's simplified interface, which needs no setjmp of ours.
#include <png.h>

#include "core/error.h"
#include "data/encode.h"

namespace mtyolo::data {

std::string encode_png(const Image& image) {
  png_image info{};
  info.version = PNG_IMAGE_VERSION;
  info.width = png_uint_32(image.width);
  info.height = png_uint_32(image.height);
  info.format = PNG_FORMAT_RGB;
  info.flags = PNG_IMAGE_FLAG_FAST;
  const auto fail_encode = [&] {
    fail(ExitCode::kRuntime, "image_encode", "cannot encode a picture of {} x {} pixels as PNG: {}",
         image.width, image.height, static_cast<const char*>(info.message));
  };
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(info);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&info, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0)
    fail_encode();
  bytes.resize(size);
  return bytes;
}

}  // namespace mtyolo::data

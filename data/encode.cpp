#include "data/encode.h"

#include <filesystem>

#include "core/file.h"
#include "core/text.h"

// stb_image_write makes BMP, and JPEG and PNG where their own libraries are missing (encode_jpeg.cpp,
// encode_png.cpp).
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace mtyolo::data {
namespace {

void append(void* context, void* bytes, int count) {
  static_cast<std::string*>(context)->append(static_cast<const char*>(bytes), size_t(count));
}

void check_written(int written, const Image& image) {
  if (written == 0)
    fail(ExitCode::kRuntime, "image_encode", "cannot encode a picture of {} x {} pixels", image.width,
         image.height);
}

}  // namespace

std::string encode_bmp(const Image& image) {
  std::string bytes;
  check_written(stbi_write_bmp_to_func(append, &bytes, image.width, image.height, 3, image.pixels.data()),
                image);
  return bytes;
}

#ifndef MTYOLO_HAVE_JPEG
std::string encode_jpeg(const Image& image, int quality) {
  std::string bytes;
  check_written(
      stbi_write_jpg_to_func(append, &bytes, image.width, image.height, 3, image.pixels.data(), quality),
      image);
  return bytes;
}
#endif

#ifndef MTYOLO_HAVE_PNG
std::string encode_png(const Image& image) {
  std::string bytes;
  check_written(stbi_write_png_to_func(append, &bytes, image.width, image.height, 3, image.pixels.data(),
                                       image.width * 3),
                image);
  return bytes;
}
#endif

void write_image(const std::string& path, const Image& image) {
  const std::string ending = lower_case(std::filesystem::path(path).extension().string());
  const std::string bytes = ending == ".png"   ? encode_png(image)
                            : ending == ".bmp" ? encode_bmp(image)
                                               : encode_jpeg(image);
  write_file_atomically(path, bytes);
}

}  // namespace mtyolo::data

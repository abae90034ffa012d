// BMP by stb_image, and JPEG and PNG where their own libraries are missing. stb_image does not claim to be
// safe on hostile input and fills what is missing with zeros, so BMP headers are checked here first
// (reliability.md I1, I3).
#include <algorithm>
#include <memory>

#include "data/codec.h"

#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 30000
#define STBI_ONLY_BMP
#ifndef MTYOLO_HAVE_JPEG
#define STBI_ONLY_JPEG
#endif
#ifndef MTYOLO_HAVE_PNG
#define STBI_ONLY_PNG
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace mtyolo::data {
namespace {

using Bytes = std::span<const std::byte>;

struct StbFree {
  void operator()(stbi_uc* p) const { stbi_image_free(p); }
};

// Decodes to RGB after checking the size that stb reads from the header.
Image decode_with_stb(Bytes bytes, const std::string& name, const char* format) {
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = int(std::min<size_t>(bytes.size(), size_t(INT32_MAX)));
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(data, size, &width, &height, &channels) == 0)
    throw image_error(name, "image_corrupt",
                      fmt::format("{} cannot be decoded: {}", format, stbi_failure_reason()));
  check_image_size(uint64_t(std::max(width, 0)), uint64_t(std::max(height, 0)), name);
  const std::unique_ptr<stbi_uc, StbFree> pixels(
      stbi_load_from_memory(data, size, &width, &height, &channels, 3));
  if (pixels == nullptr)
    throw image_error(name, "image_corrupt",
                      fmt::format("{} cannot be decoded: {}", format, stbi_failure_reason()));
  Image image(width, height);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.data());
  return image;
}

uint32_t little(Bytes bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i-- > 0;) value = (value << 8) | uint32_t(bytes[at + i]);
  return value;
}

// BITMAPFILEHEADER (14 bytes), then BITMAPCOREHEADER (12) or BITMAPINFOHEADER (40 and more).
void check_bmp(Bytes bytes, const std::string& name) {
  if (bytes.size() < 26) throw image_error(name, "image_truncated", "BMP is truncated: no image data");
  const uint32_t pixels_at = little(bytes, 10, 4), header = little(bytes, 14, 4);
  const bool core = header == 12;
  if (!core && (header < 40 || bytes.size() < 54))
    throw image_error(name, "image_corrupt", fmt::format("BMP with a header of {} bytes", header));
  const int64_t width = core ? little(bytes, 18, 2) : int32_t(little(bytes, 18, 4));
  const int64_t signed_height = core ? little(bytes, 20, 2) : int32_t(little(bytes, 22, 4));
  const int64_t height = signed_height < 0 ? -signed_height : signed_height;  // negative: rows from the top
  check_image_size(uint64_t(std::max<int64_t>(width, 0)), uint64_t(height), name);
  if (width > STBI_MAX_DIMENSIONS || height > STBI_MAX_DIMENSIONS)
    throw image_error(name, "image_limits", fmt::format("BMP sides may be up to {}", STBI_MAX_DIMENSIONS));
  const uint32_t bits = little(bytes, core ? 24 : 28, 2), compression = core ? 0 : little(bytes, 30, 4);
  constexpr uint32_t kPlain = 0, kBitFields = 3;
  if (compression != kPlain && compression != kBitFields)
    throw image_error(name, "image_format",
                      fmt::format("BMP with compression {} is not supported", compression));
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
    throw image_error(name, "image_corrupt", fmt::format("BMP with {} bits per pixel", bits));
  const uint64_t row_bytes = (uint64_t(width) * bits + 31) / 32 * 4;
  if (pixels_at + row_bytes * uint64_t(height) > bytes.size())
    throw image_error(
        name, "image_truncated",
        fmt::format("BMP is truncated: {} bytes, {} x {} pixels of {} bits need {}", bytes.size(), width,
                    height, bits, pixels_at + row_bytes * uint64_t(height)));
}

}  // namespace

Image decode_bmp(Bytes bytes, const std::string& name) {
  check_bmp(bytes, name);
  return decode_with_stb(bytes, name, "BMP");
}

#ifndef MTYOLO_HAVE_JPEG
Image decode_jpeg(Bytes bytes, const std::string& name, DamagePolicy, JpegPath) {
  return decode_with_stb(bytes, name, "JPEG");
}
#endif

#ifndef MTYOLO_HAVE_PNG
Image decode_png(Bytes bytes, const std::string& name, DamagePolicy) {
  return decode_with_stb(bytes, name, "PNG");
}
#endif

}  // namespace mtyolo::data

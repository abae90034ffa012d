#include "data/image.h"

#include <cmath>
#include <cstring>

#include "core/fault.h"
#include "core/file.h"
#include "data/codec.h"
#include "data/exif.h"

namespace mtyolo::data {
namespace {

struct Signature {
  size_t offset;
  std::string_view bytes;
  ImageFormat format;
  const char* name;
};

// A signature that is the beginning of another one comes after it.
constexpr Signature kSignatures[] = {
    {0, "\xff\xd8\xff", ImageFormat::kJpeg, "JPEG"},
    {0, "\x89PNG\r\n\x1a\n", ImageFormat::kPng, "PNG"},
    {0, "BM", ImageFormat::kBmp, "BMP"},
    {0, "GIF8", ImageFormat::kForeign, "GIF"},
    {8, "WEBP", ImageFormat::kForeign, "WebP"},
    {0, {"II\x2a\0", 4}, ImageFormat::kForeign, "TIFF (or DNG)"},
    {0, {"MM\0\x2a", 4}, ImageFormat::kForeign, "TIFF (or DNG)"},
    {0, {"II\x2b\0", 4}, ImageFormat::kForeign, "BigTIFF"},
    {4, "ftypavif", ImageFormat::kForeign, "AVIF"},
    {4, "ftypavis", ImageFormat::kForeign, "AVIF"},
    {4, "ftyphei", ImageFormat::kForeign, "HEIC"},
    {4, "ftyphev", ImageFormat::kForeign, "HEIC"},
    {4, "ftypmif1", ImageFormat::kForeign, "HEIF"},
    {4, "ftyp", ImageFormat::kForeign, "MP4 video"},
    {0, {"\0\0\0\x0cjP  ", 8}, ImageFormat::kForeign, "JPEG 2000"},
    {0, "\xff\x4f\xff\x51", ImageFormat::kForeign, "JPEG 2000"},
    {0, {"\0\0\0\x0cJXL ", 8}, ImageFormat::kForeign, "JPEG XL"},
    {0, "\xff\x0a", ImageFormat::kForeign, "JPEG XL"},
    {0, "8BPS", ImageFormat::kForeign, "Photoshop"},
    {0, {"\0\0\1\0", 4}, ImageFormat::kForeign, "ICO"},
    {0, "#?RADIANCE", ImageFormat::kForeign, "Radiance HDR"},
    {0, "v/1\x01", ImageFormat::kForeign, "OpenEXR"},
    {8, "AVI ", ImageFormat::kForeign, "AVI video"},
    {0, "\x1a\x45\xdf\xa3", ImageFormat::kForeign, "Matroska video"},
    {0, "%PDF", ImageFormat::kUnknown, "PDF"},
    {0, "<!DOCTYPE", ImageFormat::kUnknown, "HTML"},
    {0, "<!doctype", ImageFormat::kUnknown, "HTML"},
    {0, "<html", ImageFormat::kUnknown, "HTML"},
    {0, "<svg", ImageFormat::kForeign, "SVG"},
    {0, {"PK\x03\x04", 4}, ImageFormat::kUnknown, "a zip archive"},
    {0, "version https://git-lfs", ImageFormat::kUnknown, "a Git LFS pointer"},
};

bool is_portable_map(std::string_view text) {  // PBM, PGM, PPM, PAM, PFM
  if (text.size() < 3 || text[0] != 'P') return false;
  return std::string_view("1234567Ff").find(text[1]) != std::string_view::npos &&
         std::string_view(" \t\r\n#").find(text[2]) != std::string_view::npos;
}

// float(value) / 255: a division, not a product with 1/255, gives the reference's bits.
constexpr std::array<float, 256> kFractions = [] {
  std::array<float, 256> fractions{};
  for (size_t i = 0; i < fractions.size(); ++i) fractions[i] = float(i) / 255.0f;
  return fractions;
}();

[[noreturn]] void refuse_content(std::span<const std::byte> bytes, const SniffedFormat& sniffed,
                                 const std::string& name) {
  if (bytes.empty()) throw image_error(name, "image_empty", "is empty (0 bytes), expected an image");
  if (sniffed.format == ImageFormat::kForeign)
    throw image_error(name, "image_format", "no decoder for " + sniffed.what + " in this build",
                      "convert it to JPEG or PNG");
  const std::string looks_like = sniffed.what.empty() ? "" : ", it looks like " + sniffed.what;
  throw image_error(name, "image_unknown",
                    "is not an image: the content is neither JPEG, PNG nor BMP" + looks_like);
}

}  // namespace

SniffedFormat sniff_image(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Signature& s : kSignatures)
    if (text.size() >= s.offset && text.substr(s.offset).starts_with(s.bytes)) return {s.format, s.name};
  if (is_portable_map(text)) return {ImageFormat::kForeign, "PNM (PPM, PGM, PBM)"};
  return {};
}

Error image_error(const std::string& name, const char* code, std::string message, std::string suggestion) {
  return Error({ExitCode::kData, code, std::move(message), name, {}, std::move(suggestion)});
}

void check_image_size(uint64_t width, uint64_t height, const std::string& name) {
  if (width < 1 || height < 1 || width > kMaxImageSide || height > kMaxImageSide)
    throw image_error(
        name, "image_limits",
        fmt::format("the header says {} x {} pixels, sides may be 1..{}", width, height, kMaxImageSide));
  if (width * height > uint64_t(kMaxImagePixels))
    throw image_error(name, "image_limits",
                      fmt::format("the header says {} x {} = {} pixels, the limit is {}", width, height,
                                  width * height, kMaxImagePixels));
}

Image::Image(int width_, int height_, uint8_t value)
    : width(width_), height(height_), pixels(size_t(width_) * size_t(height_) * 3, value) {}

Image decode_image(std::span<const std::byte> bytes, const std::string& name, DamagePolicy damage) {
  const SniffedFormat sniffed = sniff_image(bytes);
  switch (sniffed.format) {
    case ImageFormat::kJpeg:
      return turn_upright(decode_jpeg(bytes, name, damage), exif_orientation(bytes));
    case ImageFormat::kPng:
      return turn_upright(decode_png(bytes, name, damage), exif_orientation(bytes));
    case ImageFormat::kBmp:
      return decode_bmp(bytes, name);
    case ImageFormat::kForeign:
    case ImageFormat::kUnknown:
      break;
  }
  refuse_content(bytes, sniffed, name);
}

Image read_image(const std::string& path, DamagePolicy damage) {
  std::string bytes;
  try {
    // Read, not mapped: a file that shrinks while it is mapped would end the process (I7).
    bytes = read_file(path, kMaxImageFileBytes);
  } catch (const Error& e) {
    ErrorInfo info = e.info();
    info.exit = ExitCode::kData;
    throw Error(std::move(info));
  }
  return decode_image(std::as_bytes(std::span(bytes)), path, damage);
}

void check_sample_size(const ImageSize& size, const std::string& path) {
  if (size.width < kMinSampleSide || size.height < kMinSampleSide)
    throw image_error(path, "image_small",
                      fmt::format("has {} x {} pixels, sides of {} and more are used", size.width,
                                  size.height, kMinSampleSide));
}

Image read_sample_image(const std::string& path) {
  if (fault::at("decode").error != 0) fail(ExitCode::kData, "fault", "cannot be decoded, on purpose");
  Image image = read_image(path, DamagePolicy::kRefuse);
  check_sample_size({image.width, image.height}, path);
  return image;
}

std::string image_decoders() {
#ifdef MTYOLO_HAVE_JPEG
  const std::string jpeg = "JPEG: libjpeg-turbo";
#else
  const std::string jpeg = "JPEG: stb_image";
#endif
#ifdef MTYOLO_HAVE_PNG
  return jpeg + ", PNG: libpng, BMP: stb_image";
#else
  return jpeg + ", PNG: stb_image, BMP: stb_image";
#endif
}

namespace {

template <class T, class Convert>
void fill_planes(const Image& image, T* batch, int64_t n, Convert convert) {
  const size_t plane = size_t(image.width) * size_t(image.height);
  T* first = batch + size_t(n) * plane * 3;
  // One plane at a time within a row: planes are often whole pages apart, where three streams of stores
  // collide.
  for (int y = 0; y < image.height; ++y)
    for (size_t c = 0; c < 3; ++c) {
      const uint8_t* from = image.row(y) + c;
      T* to = first + c * plane + size_t(y) * size_t(image.width);
      for (int x = 0; x < image.width; ++x) to[x] = convert(from[3 * x]);
    }
}

}  // namespace

void image_to_tensor(const Image& image, Tensor& batch, int64_t n) {
  MTYOLO_CHECK(batch.rank() == 4 && batch.size(1) == 3 && batch.size(2) == image.height &&
                   batch.size(3) == image.width && batch.is_contiguous() && n >= 0 && n < batch.size(0),
               "image_to_tensor: image {} of {}, expected a slot for 3 x {} x {}", n, batch, image.height,
               image.width);
  if (batch.dtype() == DType::kU8) fill_planes(image, batch.data<uint8_t>(), n, [](uint8_t v) { return v; });
  else fill_planes(image, batch.data<float>(), n, [](uint8_t v) { return kFractions[v]; });
}

}  // namespace mtyolo::data

// Sizes out of headers: ISO/IEC 10918-1 B.2.2 (JPEG frame header), PNG 1.2 section 11.2.2, and the BMP file
// header.
#include <cstdlib>

#include "core/byte_reader.h"
#include "data/codec.h"
#include "data/exif.h"

namespace mtyolo::data {
namespace {

struct HeaderSize {
  uint64_t width = 0, height = 0;
};
using MaybeSize = std::optional<HeaderSize>;

template <class T>
MaybeSize size_of(std::optional<T> width, std::optional<T> height) {
  if (!width || !height) return {};
  return HeaderSize{uint64_t(std::abs(int64_t(*width))), uint64_t(std::abs(int64_t(*height)))};
}

bool is_frame(uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

MaybeSize jpeg_size(ByteReader reader) {
  reader.seek(2);
  while (true) {
    // Bytes between segments are passed over, as the decoder does.
    std::optional<uint8_t> byte = reader.big<uint8_t>();
    while (byte && *byte != 0xff) byte = reader.big<uint8_t>();
    while (byte && *byte == 0xff) byte = reader.big<uint8_t>();
    if (!byte) return {};
    if (*byte == 0 || *byte == 1 || (*byte >= 0xd0 && *byte <= 0xd8)) continue;  // no length follows
    const auto length = reader.big<uint16_t>();
    if (!length || *length < 2) return {};
    if (is_frame(*byte)) {
      reader.skip(1);
      const auto height = reader.big<uint16_t>(), width = reader.big<uint16_t>();
      return size_of(width, height);
    }
    if (!reader.skip(*length - 2u)) return {};
  }
}

MaybeSize png_size(ByteReader reader) {
  reader.seek(16);
  const auto width = reader.big<uint32_t>(), height = reader.big<uint32_t>();
  return size_of(width, height);
}

MaybeSize bmp_size(ByteReader reader) {
  constexpr uint32_t kOldHeader = 12;
  reader.seek(14);
  const auto header = reader.little<uint32_t>();
  if (header == kOldHeader) {
    const auto width = reader.little<uint16_t>(), height = reader.little<uint16_t>();
    return size_of(width, height);
  }
  const auto width = reader.little<int32_t>(), height = reader.little<int32_t>();
  return size_of(width, height);
}

}  // namespace

ImageSize image_size(std::span<const std::byte> bytes, const std::string& name) {
  const SniffedFormat sniffed = sniff_image(bytes);
  const ByteReader reader(bytes);
  MaybeSize size;
  switch (sniffed.format) {
    case ImageFormat::kJpeg:
      size = jpeg_size(reader);
      break;
    case ImageFormat::kPng:
      size = png_size(reader);
      break;
    case ImageFormat::kBmp:
      size = bmp_size(reader);
      break;
    case ImageFormat::kForeign:
    case ImageFormat::kUnknown:
      decode_image(bytes, name);  // refuses it, with the reason
  }
  if (!size) throw image_error(name, "image_truncated", "ends within the header, there is no image data");
  check_image_size(size->width, size->height, name);
  const bool swap = exif_orientation(bytes) >= 5;
  return {int(swap ? size->height : size->width), int(swap ? size->width : size->height)};
}

}  // namespace mtyolo::data

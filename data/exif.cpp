#include "data/exif.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mtyolo::data {
namespace {

using Bytes = std::span<const std::byte>;

constexpr int kUpright = 1;
constexpr int kMaxEntries = 64;  // reliability.md I6

uint32_t read_number(Bytes bytes, size_t at, size_t count, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value = (value << 8) | uint32_t(bytes[at + (big_endian ? i : count - 1 - i)]);
  return value;
}

bool starts_with(Bytes bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

constexpr std::string_view kExifHead{"Exif\0\0", 6};

int jpeg_orientation(Bytes file) {
  size_t at = 2;
  while (at + 4 <= file.size()) {
    if (uint8_t(file[at]) != 0xff) return kUpright;
    const auto marker = uint8_t(file[at + 1]);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) return kUpright;  // pixels or the end
    const size_t length = read_number(file, at + 2, 2, true);
    if (length < 2 || length > file.size() - at - 2) return kUpright;
    const Bytes body = file.subspan(at + 4, length - 2);
    if (marker == 0xe1 && starts_with(body, kExifHead))
      return tiff_orientation(body.subspan(kExifHead.size()));
    at += 2 + length;
  }
  return kUpright;
}

int png_orientation(Bytes file) {
  size_t at = 8;
  while (at + 12 <= file.size()) {
    const size_t length = read_number(file, at, 4, true);
    if (length > file.size() - at - 12) return kUpright;
    const Bytes name = file.subspan(at + 4, 4);
    if (starts_with(name, "eXIf")) return tiff_orientation(file.subspan(at + 8, length));
    if (starts_with(name, "IEND")) return kUpright;
    at += 12 + length;
  }
  return kUpright;
}

}  // namespace

int tiff_orientation(Bytes tiff) {
  constexpr uint32_t kTag = 0x0112, kShort = 3;
  if (tiff.size() < 8) return kUpright;
  const bool big_endian = starts_with(tiff, "MM");
  if (!big_endian && !starts_with(tiff, "II")) return kUpright;
  if (read_number(tiff, 2, 2, big_endian) != 42) return kUpright;
  const size_t directory = read_number(tiff, 4, 4, big_endian);
  if (directory > tiff.size() - 2) return kUpright;
  const size_t entries = read_number(tiff, directory, 2, big_endian);
  if (entries > kMaxEntries || entries * 12 > tiff.size() - directory - 2) return kUpright;
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * 12;
    if (read_number(tiff, entry, 2, big_endian) != kTag) continue;
    if (read_number(tiff, entry + 2, 2, big_endian) != kShort ||
        read_number(tiff, entry + 4, 4, big_endian) != 1)
      return kUpright;
    const uint32_t value = read_number(tiff, entry + 8, 2, big_endian);
    return value >= 1 && value <= 8 ? int(value) : kUpright;
  }
  return kUpright;
}

int exif_orientation(Bytes file) {
  if (starts_with(file, "\xff\xd8")) return jpeg_orientation(file);
  if (starts_with(file, "\x89PNG")) return png_orientation(file);
  return kUpright;
}

Image turn_upright(Image image, int orientation) {
  if (orientation == kUpright) return image;
  // Where pixel (x, y) of the upright picture lies in the stored one.
  const bool swap = orientation >= 5;
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image upright(swap ? image.height : image.width, swap ? image.width : image.height);
  const ptrdiff_t row_bytes = ptrdiff_t(image.width) * 3;
  for (int y = 0; y < upright.height; ++y) {
    const int fixed = swap ? (flip_x ? image.width - 1 - y : y) : (flip_y ? image.height - 1 - y : y);
    const int first = swap ? (flip_y ? image.height - 1 : 0) : (flip_x ? image.width - 1 : 0);
    const uint8_t* from = swap ? image.row(first) + fixed * 3 : image.row(fixed) + first * 3;
    const ptrdiff_t step = swap ? (flip_y ? -row_bytes : row_bytes) : (flip_x ? -3 : 3);
    uint8_t* to = upright.row(y);
    for (int x = 0; x < upright.width; ++x, from += step, to += 3) std::copy_n(from, 3, to);
  }
  return upright;
}

}  // namespace mtyolo::data

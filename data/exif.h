// The orientation a camera wrote into a picture (EXIF tag 0x0112).
#pragma once

#include <cstddef>
#include <span>

#include "data/image.h"

namespace mtyolo::data {

// 1..8; anything missing or odd is 1 (reliability.md I6). The bytes are a whole JPEG or PNG file.
int exif_orientation(std::span<const std::byte> file);

// The same from the body of an EXIF block: a TIFF header and IFD0.
int tiff_orientation(std::span<const std::byte> tiff);

// The picture as it is meant to be seen. 1 returns it unchanged; 5..8 swap width and height.
Image turn_upright(Image image, int orientation);

}  // namespace mtyolo::data

// Pictures whose pixels are easy to tell apart.
#pragma once

#include "data/image.h"
#include "tests/support/temp_folder.h"

namespace mtyolo::test {

// Every pixel differs from its neighbours, and the four corners from each other.
inline data::Image pattern_image(int width, int height) {
  data::Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) image.row(y)[x * 3 + c] = uint8_t(x * 7 + y * 31 + c * 85 + (x * y) % 11);
  return image;
}

}  // namespace mtyolo::test

#include "data/augment/flips.h"

#include <algorithm>

namespace mtyolo::data {

FlipDraws draw_flips(const AugmentParams& params, RandomStream& random) {
  const bool up_down = random.uniform() < params.flipud;
  return {up_down, random.uniform() < params.fliplr};
}

void write_planes(const Image& image, const FlipDraws& draws, uint8_t* planes) {
  const size_t width = size_t(image.width), plane = width * size_t(image.height);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = image.row(draws.up_down ? image.height - 1 - y : y);
    for (size_t c = 0; c < 3; ++c) {
      uint8_t* to = planes + c * plane + size_t(y) * width;
      for (size_t x = 0; x < width; ++x) to[x] = from[3 * x + c];
      if (draws.left_right) std::reverse(to, to + width);
    }
  }
}

void flip_target(BatchTarget& target, const FlipDraws& draws) {
  if (draws.up_down) target.y = 1 - target.y;
  if (draws.left_right) target.x = 1 - target.x;
}

}  // namespace mtyolo::data

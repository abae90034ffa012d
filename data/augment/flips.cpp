#include "data/augment/flips.h"

#include <algorithm>

#include "data/rgb_planes.h"

namespace mtyolo::data {

FlipDraws draw_flips(const AugmentParams& params, RandomStream& random) {
  const bool up_down = random.uniform() < params.flipud;
  return {up_down, random.uniform() < params.fliplr};
}

void write_planes(const Image& image, const FlipDraws& draws, uint8_t* planes) {
  const size_t width = size_t(image.width), plane = width * size_t(image.height);
  for (int y = 0; y < image.height; ++y) {
    uint8_t* first = planes + size_t(y) * width;
    uint8_t* const rows[3] = {first, first + plane, first + 2 * plane};
    split_rgb(image.row(draws.up_down ? image.height - 1 - y : y), width, rows);
    if (!draws.left_right) continue;
    for (uint8_t* row : rows) std::reverse(row, row + width);
  }
}

void flip_target(BatchTarget& target, const FlipDraws& draws) {
  if (draws.up_down) target.y = 1 - target.y;
  if (draws.left_right) target.x = 1 - target.x;
}

}  // namespace mtyolo::data

#include "data/augment/mosaic.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace mtyolo::data {
namespace {

// Where tile i of 9 lies in the 3 x 3 field: 0 the centre, then clockwise from the top; offsets chain on the
// sizes of the centre and of the tile before (data.md 7.2).
std::array<int, 2> place_of_nine(size_t i, int s, const Image& image, const Image& centre,
                                 const Image& before) {
  const int w = image.width, h = image.height, w0 = centre.width, h0 = centre.height;
  const int wp = before.width, hp = before.height;
  switch (i) {
    case 0:
      return {s, s};
    case 1:
      return {s, s - h};
    case 2:
      return {s + wp, s - h};
    case 3:
      return {s + w0, s};
    case 4:
      return {s + w0, s + hp};
    case 5:
      return {s + w0 - w, s + h0};
    case 6:
      return {s + w0 - wp - w, s + h0};
    case 7:
      return {s - w, s + h0 - h};
    default:
      return {s - w, s + h0 - hp - h};
  }
}

void paste(const Tile& tile, int left, int top, Canvas& out) {
  const Image& image = *tile.image;
  const int x1 = std::max(left, 0), x2 = std::min(left + image.width, out.image.width);
  const int y1 = std::max(top, 0), y2 = std::min(top + image.height, out.image.height);
  for (int y = y1; x1 < x2 && y < y2; ++y)
    std::copy_n(image.row(y - top) + (x1 - left) * 3, size_t(x2 - x1) * 3, out.image.row(y) + x1 * 3);
  for (const Label& label : tile.sample->labels) {
    out.labels.push_back(to_pixels(label, image.width, image.height, left, top));
    clip_label(out.labels.back(), float(out.image.width), float(out.image.height));
  }
  out.labelled &= tile.sample->labelled;
}

}  // namespace

MosaicDraws draw_mosaic(int tiles, int size, RandomStream& random) {
  const double low = tiles == 4 ? size / 2.0 : 0, high = tiles == 4 ? 1.5 * size : size;
  const int y = int(random.uniform(low, high));
  return {int(random.uniform(low, high)), y};
}

void mosaic(std::span<const Tile> tiles, int size, const MosaicDraws& draws, Canvas& out) {
  MTYOLO_CHECK(tiles.size() == 4 || tiles.size() == 9, "mosaic of {} images, expected 4 or 9", tiles.size());
  out.reset(2 * size, 2 * size);
  for (size_t i = 0; i < tiles.size(); ++i) {
    const Image& image = *tiles[i].image;
    MTYOLO_CHECK(std::max(image.width, image.height) <= size, "mosaic: a tile of {} x {} for size {}",
                 image.width, image.height, size);
    if (tiles.size() == 4) {
      paste(tiles[i], i % 2 == 0 ? draws.x - image.width : draws.x, i < 2 ? draws.y - image.height : draws.y,
            out);
    } else {
      const auto [x, y] = place_of_nine(i, size, image, *tiles[0].image, *tiles[i == 0 ? 0 : i - 1].image);
      paste(tiles[i], x - draws.x, y - draws.y, out);
    }
  }
}

}  // namespace mtyolo::data

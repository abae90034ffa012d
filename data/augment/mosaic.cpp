#include "data/augment/mosaic.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo::data {
namespace {

// Where tile i of 9 lies in the 3 x 3 field: 0 the centre, then clockwise from the top; offsets chain on the
// sizes of the centre and of the tile before (data.md 7.2).
Place place_of_nine(size_t i, int s, const ImageSize& tile, const ImageSize& centre,
                    const ImageSize& before) {
  const int w = tile.width, h = tile.height, w0 = centre.width, h0 = centre.height;
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

void paste(const Tile& tile, const Place& at, Canvas& out) {
  const int x1 = std::max(at.x, 0), x2 = std::min(at.x + tile.size.width, out.image.width);
  const int y1 = std::max(at.y, 0), y2 = std::min(at.y + tile.size.height, out.image.height);
  for (int y = y1; tile.image && x1 < x2 && y < y2; ++y)
    std::copy_n(tile.image->row(y - at.y) + (x1 - at.x) * 3, size_t(x2 - x1) * 3, out.image.row(y) + x1 * 3);
  for (const Label& label : tile.sample->labels) {
    out.labels.push_back(to_pixels(label, tile.size.width, tile.size.height, at.x, at.y));
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

Place place_in_mosaic(std::span<const Tile> tiles, size_t i, size_t count, int size,
                      const MosaicDraws& draws) {
  const ImageSize& tile = tiles[i].size;
  if (count == 4)
    return {i % 2 == 0 ? draws.x - tile.width : draws.x, i < 2 ? draws.y - tile.height : draws.y};
  const Place place = place_of_nine(i, size, tile, tiles[0].size, tiles[i == 0 ? 0 : i - 1].size);
  return {place.x - draws.x, place.y - draws.y};
}

void mosaic(std::span<const Tile> tiles, int size, const MosaicDraws& draws, Canvas& out) {
  MTYOLO_CHECK(tiles.size() == 4 || tiles.size() == 9, "mosaic of {} images, expected 4 or 9", tiles.size());
  out.reset(2 * size, 2 * size);
  for (size_t i = 0; i < tiles.size(); ++i) {
    const ImageSize& tile = tiles[i].size;
    MTYOLO_CHECK(std::max(tile.width, tile.height) <= size, "mosaic: a tile of {} x {} for size {}",
                 tile.width, tile.height, size);
    paste(tiles[i], place_in_mosaic(tiles, i, tiles.size(), size, draws), out);
  }
}

}  // namespace mtyolo::data

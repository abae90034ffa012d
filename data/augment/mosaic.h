// Four or nine pictures as one (data.md 7.1, 7.2).
#pragma once

#include <span>

#include "core/random.h"
#include "data/augment/canvas.h"

namespace mtyolo::data {

// Of 4: where the pictures meet. Of 9: the corner of the window cut from the 3 x 3 field. Whole pixels.
struct MosaicDraws {
  int x = 0, y = 0;
};
MosaicDraws draw_mosaic(int tiles, int size, RandomStream& random);

struct Place {
  int x = 0, y = 0;
};
// Where tile `i` lies on the canvas; that of a tile of 9 depends on those before it.
Place place_in_mosaic(std::span<const Tile> tiles, size_t i, size_t count, int size,
                      const MosaicDraws& draws);

// `out`: 2 size x 2 size, labels and polygons clipped to it. 4 or 9 tiles, sides at most `size`. Labels cut
// away entirely stay as empty boxes; random_perspective drops them. `labelled` is what all tiles share.
void mosaic(std::span<const Tile> tiles, int size, const MosaicDraws& draws, Canvas& out);

}  // namespace mtyolo::data

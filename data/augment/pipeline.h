// The augmentations in their order (data.md section 6).
#pragma once

#include "core/random.h"
#include "data/augment/canvas.h"
#include "data/augment/flips.h"
#include "data/augment/paste_in.h"

namespace mtyolo::data {

// Where the pictures of a sample come from: positions of the epoch's order.
//
// Pictures that are put together (mosaic, mixup, objects pasted in) are all labelled for the same heads. So a
// sample is labelled for a head as a whole or not at all: what no one has labelled for a head is never beside
// what is, and neither rewards nor punishes it.
class TileSource {
 public:
  virtual ~TileSource() = default;
  // A position among those of the images with these Sample::labelled.
  virtual int64_t draw(uint64_t labelled, RandomStream& random) = 0;
  // The picture at a position, after the load step with augmentation: without its pixels as the scan saw it,
  // or with them, and then the next one that can be read, of those labelled alike as long as there are any.
  virtual Tile tile(int64_t position, bool pixels) = 0;
};

// What one thread keeps between samples, so that nothing is allocated anew.
struct AugmentSpace {
  Canvas assembled, second;
  std::vector<Piece> pieces;
};

struct AugmentJob {
  const AugmentParams& params;
  int img_size = 640;
  int width = 0, height = 0;  // of the letterbox without mosaic; with mosaic both are img_size
  bool may_mosaic = true;     // not with rect
  bool has_polygons = false;  // of the data set; without, copy_paste and paste_in cost nothing (D13)
};

// The sample at `position`: `out` before the flips, which are done while it goes to planes. Returns the
// index of its first picture. All draws come from `random` in a fixed order.
int64_t augment_sample(TileSource& source, int64_t position, const AugmentJob& job, RandomStream& random,
                       AugmentSpace& space, Canvas& out, FlipDraws& flips);

// A picture padded to width x height (scaled up if it is smaller), with its labels, by the whole
// pixels that were painted before it (known-issues E13), but no polygons.
void letterbox_canvas(const Tile& tile, int width, int height, bool scale_up, Canvas& out, Letterbox& done);

}  // namespace mtyolo::data

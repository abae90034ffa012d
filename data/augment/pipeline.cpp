#include "data/augment/pipeline.h"

#include <algorithm>

#include "data/augment/copy_paste.h"
#include "data/augment/hsv.h"
#include "data/augment/mixup.h"
#include "data/augment/mosaic.h"
#include "data/augment/perspective.h"

namespace mtyolo::data {
namespace {

// Fills `tiles` with `count` pictures, the first one given by its position, the others drawn.
std::vector<Tile> draw_tiles(TileSource& source, int64_t first, int count, RandomStream& random) {
  std::vector<Tile> tiles{source.tile(first)};
  for (int i = 1; i < count; ++i) tiles.push_back(source.tile(random.below(source.size())));
  return tiles;
}

// 4 or 9 pictures, warped. Returns the first one's sample.
const Sample* make_mosaic(TileSource& source, int64_t position, const AugmentJob& job, RandomStream& random,
                          AugmentSpace& space, Canvas& out) {
  const int count = random.uniform() < 0.8 ? 4 : 9;
  const MosaicDraws draws = draw_mosaic(count, job.img_size, random);
  const std::vector<Tile> tiles = draw_tiles(source, position, count, random);
  mosaic(tiles, job.img_size, draws, space.assembled);
  if (job.has_polygons && job.params.copy_paste > 0)
    copy_paste(space.assembled, draw_copy_paste(space.assembled.labels, job.params.copy_paste, random));
  const int border = -job.img_size / 2;
  random_perspective(space.assembled, draw_perspective(job.params, random), border, border,
                     job.params.perspective != 0, out);
  return tiles.front().sample;
}

// At least 30 pieces, in a bounded number of rounds; none where the first one yields none.
void collect_pieces(TileSource& source, const AugmentJob& job, RandomStream& random, AugmentSpace& space) {
  constexpr size_t kEnough = 30;
  constexpr int kRounds = 8;
  space.pieces.clear();
  for (int round = 0; round < kRounds && space.pieces.size() < kEnough; ++round) {
    const MosaicDraws draws = draw_mosaic(4, job.img_size, random);
    const std::vector<Tile> tiles = draw_tiles(source, random.below(source.size()), 4, random);
    mosaic(tiles, job.img_size, draws, space.assembled);
    cut_pieces(space.assembled, random, space.pieces);
    if (space.pieces.empty()) return;
  }
}

}  // namespace

void letterbox_canvas(const Tile& tile, int width, int height, bool scale_up, Canvas& out, Letterbox& done) {
  out.image = letterbox(*tile.image,
                        {.width = width, .height = height, .auto_pad = false, .scale_up = scale_up}, done);
  out.labelled = tile.sample->labelled;
  out.labels.clear();
  const double w = done.scale * tile.image->width, h = done.scale_y * tile.image->height;
  for (const Label& label : tile.sample->labels) {
    out.labels.push_back(to_pixels(label, w, h, done.pad_x, done.pad_y));
    out.labels.back().polygon.clear();
  }
}

const Sample* augment_sample(TileSource& source, int64_t position, const AugmentJob& job,
                             RandomStream& random, AugmentSpace& space, Canvas& out, FlipDraws& flips) {
  const AugmentParams& p = job.params;
  const Sample* first = nullptr;
  if (job.may_mosaic && p.mosaic_enabled && random.uniform() < p.mosaic) {
    first = make_mosaic(source, position, job, random, space, out);
    if (random.uniform() < p.mixup) {
      const int64_t other = random.below(source.size());
      make_mosaic(source, other, job, random, space, space.second);
      mixup(out, space.second, draw_mixup_ratio(random));
    }
  } else {
    Letterbox done;
    const Tile tile = source.tile(position);
    first = tile.sample;
    letterbox_canvas(tile, job.width, job.height, true, space.second, done);
    random_perspective(space.second, draw_perspective(p, random), 0, 0, p.perspective != 0, out);
  }
  if (p.hsv_h != 0 || p.hsv_s != 0 || p.hsv_v != 0) jitter_hsv(out.image, draw_hsv(p, random));
  if (job.has_polygons && random.uniform() < p.paste_in) {
    collect_pieces(source, job, random, space);
    paste_in(out, space.pieces,
             draw_paste_in(out.image.width, out.image.height, space.pieces.size(), random));
  }
  flips = draw_flips(p, random);
  return first;
}

}  // namespace mtyolo::data

#include "data/augment/pipeline.h"

#include <algorithm>

#include "data/augment/copy_paste.h"
#include "data/augment/hsv.h"
#include "data/augment/mixup.h"
#include "data/augment/mosaic.h"
#include "data/augment/perspective.h"

namespace mtyolo::data {
namespace {

// The pictures of a mosaic: the first by its position, the others drawn among those labelled alike. Pixels
// out of `sight` are not read.
std::vector<Tile> draw_tiles(TileSource& source, int64_t first, size_t count, int size,
                             const MosaicDraws& draws, const Window& sight, RandomStream& random) {
  std::vector<Tile> tiles;
  for (size_t i = 0; i < count; ++i) {
    const int64_t position = i == 0 ? first : source.draw(tiles[0].sample->labelled, random);
    tiles.push_back(source.tile(position, false));
    const auto [x, y] = place_in_mosaic(tiles, i, count, size, draws);
    if (x < sight.x2 && x + tiles[i].size.width > sight.x1 && y < sight.y2 &&
        y + tiles[i].size.height > sight.y1)
      tiles[i] = source.tile(position, true);
  }
  return tiles;
}

// 4 or 9 pictures, warped. Returns the index of the first.
int64_t make_mosaic(TileSource& source, int64_t position, const AugmentJob& job, RandomStream& random,
                    AugmentSpace& space, Canvas& out) {
  const AugmentParams& p = job.params;
  const int size = job.img_size, border = -size / 2, canvas = 2 * size, side = canvas + 2 * border;
  const size_t count = random.uniform() < 0.8 ? 4 : 9;
  const MosaicDraws draws = draw_mosaic(int(count), size, random);
  const PerspectiveDraws warp_draws = draw_perspective(p, random);
  const bool pastes = job.has_polygons && p.copy_paste > 0, projective = p.perspective != 0;
  const Matrix3 m = perspective_matrix(warp_draws, canvas, canvas, side, side);
  const Window sight = pastes ? Window() : source_window(m, projective, side, side);
  const std::vector<Tile> tiles = draw_tiles(source, position, count, size, draws, sight, random);
  mosaic(tiles, size, draws, space.assembled);
  if (pastes) copy_paste(space.assembled, draw_copy_paste(space.assembled.labels, p.copy_paste, random));
  random_perspective(space.assembled, warp_draws, border, border, projective, out);
  return tiles.front().index;
}

// At least 30 pieces of pictures labelled like `out`, in a bounded number of rounds; none where the first one
// yields none.
void collect_pieces(TileSource& source, const AugmentJob& job, RandomStream& random, AugmentSpace& space,
                    Canvas& out) {
  constexpr size_t kEnough = 30;
  constexpr int kRounds = 8;
  const uint64_t labelled = out.labelled;
  space.pieces.clear();
  for (int round = 0; round < kRounds && space.pieces.size() < kEnough; ++round) {
    const MosaicDraws draws = draw_mosaic(4, job.img_size, random);
    const std::vector<Tile> tiles =
        draw_tiles(source, source.draw(labelled, random), 4, job.img_size, draws, {}, random);
    mosaic(tiles, job.img_size, draws, space.assembled);
    out.labelled &= space.assembled.labelled;
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
    out.labels.push_back(to_pixels(label, w, h, done.left, done.top));
    out.labels.back().polygon.clear();
  }
}

int64_t augment_sample(TileSource& source, int64_t position, const AugmentJob& job, RandomStream& random,
                       AugmentSpace& space, Canvas& out, FlipDraws& flips) {
  const AugmentParams& p = job.params;
  int64_t first = 0;
  if (job.may_mosaic && p.mosaic_enabled && random.uniform() < p.mosaic) {
    first = make_mosaic(source, position, job, random, space, out);
    if (random.uniform() < p.mixup) {
      const int64_t other = source.draw(out.labelled, random);
      make_mosaic(source, other, job, random, space, space.second);
      mixup(out, space.second, draw_mixup_ratio(random));
    }
  } else {
    Letterbox done;
    const Tile tile = source.tile(position, true);
    first = tile.index;
    letterbox_canvas(tile, job.width, job.height, true, space.second, done);
    random_perspective(space.second, draw_perspective(p, random), 0, 0, p.perspective != 0, out);
  }
  if (p.hsv_h != 0 || p.hsv_s != 0 || p.hsv_v != 0) jitter_hsv(out.image, draw_hsv(p, random));
  if (job.has_polygons && random.uniform() < p.paste_in) {
    collect_pieces(source, job, random, space, out);
    paste_in(out, space.pieces,
             draw_paste_in(out.image.width, out.image.height, space.pieces.size(), random));
  }
  flips = draw_flips(p, random);
  return first;
}

}  // namespace mtyolo::data

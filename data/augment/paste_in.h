// Objects cut out of other pictures along their polygons and pasted in, smaller (data.md 7.7).
#pragma once

#include <array>
#include <vector>

#include "core/random.h"
#include "data/augment/canvas.h"

namespace mtyolo::data {

// An object cut out: 0 outside its polygon, and never 0 inside.
struct Piece {
  Image image;
  int cls = 0;
};

// Cuts round(0.5 * polygons) objects, drawn at random, out of a mosaic.
void cut_pieces(const Canvas& from, RandomStream& random, std::vector<Piece>& pieces);

// One attempt to paste: a place of at most max_width x max_height pixels, and what is put there.
struct PasteDraw {
  bool skip = false;
  int x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  size_t piece = 0;
};
inline constexpr int kPasteAttempts =
    20;  // 2 x 0.75, 4 x 0.5, 4 x 0.25, 4 x 0.125, 6 x 0.0625 of the picture
using PasteDraws = std::array<PasteDraw, kPasteAttempts>;
PasteDraws draw_paste_in(int width, int height, size_t pieces, RandomStream& random);

// Skips places where no room is left (is_room), places of 20 pixels or less, and pieces that become too
// small.
void paste_in(Canvas& canvas, const std::vector<Piece>& pieces, const PasteDraws& draws);

}  // namespace mtyolo::data

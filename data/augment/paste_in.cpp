#include "data/augment/paste_in.h"

#include <algorithm>
#include <cmath>

#include "data/augment/copy_paste.h"

namespace mtyolo::data {
namespace {

Piece cut(const Canvas& from, const PixelLabel& label, int x1, int y1, int x2, int y2) {
  Piece piece{Image(x2 - x1, y2 - y1), label.cls};
  fill_polygon(label.polygon, x2, y2, [&](int y, int first, int last) {
    if (y < y1) return;
    for (int x = std::max(first, x1); x <= last; ++x)
      for (int c = 0; c < 3; ++c) {
        const uint8_t value = from.image.row(y)[x * 3 + c];
        piece.image.row(y - y1)[(x - x1) * 3 + c] = value == 0 ? 255 : value;
      }
  });
  return piece;
}

constexpr std::array<double, kPasteAttempts> kScales{0.75,  0.75,  0.5,   0.5,   0.5,   0.5,   0.25,
                                                     0.25,  0.25,  0.25,  0.125, 0.125, 0.125, 0.125,
                                                     .0625, .0625, .0625, .0625, .0625, .0625};

}  // namespace

void cut_pieces(const Canvas& from, RandomStream& random, std::vector<Piece>& pieces) {
  for (const size_t i : draw_copy_paste(from.labels, 0.5, random)) {
    const PixelLabel& l = from.labels[i];
    const int x1 = int(l.x1), x2 = int(std::min(l.x2, float(from.image.width - 1)));
    const int y1 = int(l.y1), y2 = int(std::min(l.y2, float(from.image.height - 1)));
    if (x1 < x2 && y1 < y2) pieces.push_back(cut(from, l, x1, y1, x2, y2));
  }
}

PasteDraws draw_paste_in(int width, int height, size_t pieces, RandomStream& random) {
  PasteDraws draws;
  for (size_t i = 0; i < draws.size(); ++i) {
    PasteDraw& d = draws[i];
    d.skip = random.uniform() < 0.2;
    const int h = 1 + int(random.below(std::max(1, int(height * kScales[i]))));
    const int w = 1 + int(random.below(std::max(1, int(width * kScales[i]))));
    d.x1 = std::max(0, int(random.below(width + 1)) - w / 2);
    d.y1 = std::max(0, int(random.below(height + 1)) - h / 2);
    d.x2 = std::min(width, d.x1 + w);
    d.y2 = std::min(height, d.y1 + h);
    d.piece = size_t(random.below(int64_t(std::max<size_t>(1, pieces))));
  }
  return draws;
}

void paste_in(Canvas& canvas, const std::vector<Piece>& pieces, const PasteDraws& draws) {
  constexpr int kLeastPlace = 20, kLeastSide = 10, kLeastValues = 60;
  for (const PasteDraw& d : draws) {
    if (d.skip || pieces.empty() || d.x2 - d.x1 <= kLeastPlace || d.y2 - d.y1 <= kLeastPlace) continue;
    const PixelLabel place{0, float(d.x1), float(d.y1), float(d.x2), float(d.y2), {}};
    if (!is_room(canvas.labels, place)) continue;
    const Piece& piece = pieces.at(d.piece);
    const double scale =
        std::min(double(d.x2 - d.x1) / piece.image.width, double(d.y2 - d.y1) / piece.image.height);
    const int width = int(piece.image.width * scale), height = int(piece.image.height * scale);
    if (width <= kLeastSide || height <= kLeastSide) continue;
    const Image small = resize_linear(piece.image, width, height);
    const auto values = small.pixels.size() - size_t(std::count(small.pixels.begin(), small.pixels.end(), 0));
    if (values <= kLeastValues) continue;
    for (int y = 0; y < height; ++y)
      for (int i = 0; i < width * 3; ++i)
        if (small.row(y)[i] > 0) canvas.image.row(d.y1 + y)[d.x1 * 3 + i] = small.row(y)[i];
    canvas.labels.push_back(
        {piece.cls, float(d.x1), float(d.y1), float(d.x1 + width), float(d.y1 + height), {}});
  }
}

}  // namespace mtyolo::data

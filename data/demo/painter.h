// Anti-aliased filled shapes on a picture, in pixels; positions may lie outside, they are cut.
#pragma once

#include <span>
#include <vector>

#include "data/draw.h"
#include "data/image.h"

namespace mtyolo::data::demo {

struct Vec2 {
  double x = 0, y = 0;
};

// Painted area so far: the smallest box of pixels at least half covered, as x1,y1,x2,y2; x2 <= x1 when none.
struct PaintedBox {
  int x1 = 1 << 30, y1 = 1 << 30, x2 = -1, y2 = -1;
  void add(int x, int y);
};

// Fills the inside of a closed polygon (even-odd), each pixel by the part of it that is covered (16 samples).
void fill_polygon(Image& image, std::span<const Vec2> points, Rgb colour, PaintedBox* box = nullptr);

// The outline of an ellipse as a polygon.
std::vector<Vec2> ellipse(Vec2 centre, double rx, double ry);

Rgb mix(Rgb a, Rgb b, double t);  // t = 0: a, 1: b

}  // namespace mtyolo::data::demo

// Rotation, scale, shear, shift and perspective as one warp of pixels and objects (data.md 7.3, 7.4).
#pragma once

#include <array>

#include "core/random.h"
#include "data/augment/canvas.h"
#include "data/augment/params.h"

namespace mtyolo::data {

using Matrix3 = std::array<double, 9>;  // row-major, source pixel -> output pixel

struct PerspectiveDraws {
  double perspective_x = 0, perspective_y = 0;
  double angle = 0, scale = 1;                  // degrees; factor
  double shear_x = 0, shear_y = 0;              // degrees
  double translate_x = 0.5, translate_y = 0.5;  // of the output's sides
};
PerspectiveDraws draw_perspective(const AugmentParams& params, RandomStream& random);

// T S R P C of data.md 7.3.
Matrix3 perspective_matrix(const PerspectiveDraws& draws, int width, int height, int out_width,
                           int out_height);

// Bilinear in float32, rounded half to even, grey outside: warpAffine, or warpPerspective where `projective`,
// of OpenCV 5 within one level (data.md 7.4).
void warp(const Image& image, const Matrix3& forward, bool projective, int width, int height, Image& out);

// The part of the source that a warp to width x height can read, with a margin: corners; all of the plane
// where `projective`.
struct Window {
  double x1 = -1e9, y1 = -1e9, x2 = 1e9, y2 = 1e9;
};
Window source_window(const Matrix3& forward, bool projective, int width, int height);

// `in` warped into `out`, which becomes (width + 2 border_x) x (height + 2 border_y). Objects follow by their
// polygon (1000 points of it) or by their corners, and stay where enough of them is left: sides above 2
// pixels, over 0.1 of the area (0.01 by polygon), aspect below 20. Polygons end here. `projective`: the
// hyper-parameter perspective is not 0.
void random_perspective(const Canvas& in, const PerspectiveDraws& draws, int border_x, int border_y,
                        bool projective, Canvas& out);

}  // namespace mtyolo::data

// Bilinear resize of images to an explicit size, corners not aligned, no antialiasing:
//   source row of i = max((i + 0.5) * H / H' - 0.5, 0), its two neighbours clamped to the image; columns
//   likewise x [N,C,H,W], y [N,C,H',W'], f32, any strides. Positions and weights are computed in f32.
// Throws Error when x is not 4-D f32, y differs in N or C, or a side is 0.
// Source: data.md 3.3 (test-time augmentation). Oracle: torch.nn.functional.interpolate(mode='bilinear').
#pragma once

#include "ops/impls.h"

namespace mtyolo::ops {

// The size of the result is the size of y.
void interpolate_bilinear_forward(Context& ctx, const Tensor& x, Tensor& y);

}  // namespace mtyolo::ops

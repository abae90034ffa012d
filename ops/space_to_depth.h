// ReOrg: 2x2 pixels become four channel blocks in the order (row 0 col 0), (row 1 col 0), (row 0 col 1), (row
// 1 col 1).
//   y[n, b*C + c, i, j] = x[n, c, 2*i + b%2, 2*j + b/2],  b = 0..3
//   x [N,C,H,W] with even H and W, y [N,4C,H/2,W/2]; f32 or f64. Throws Error when H or W is odd.
// Source: graph.md 3.1 (ReOrg); not the block order of pixel_unshuffle.
#pragma once

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

struct SpaceToDepth {
  bool operator==(const SpaceToDepth&) const = default;
};

Shape space_to_depth_shape(const Shape& x);
void space_to_depth_forward(Context& ctx, const Tensor& x, Tensor& y);
void space_to_depth_backward(Context& ctx, const Tensor& gy, GradMode mode, Tensor& gx);

}  // namespace mtyolo::ops

// Nearest-neighbour upsampling by a whole factor: y[n,c,i,j] = x[n,c,i/scale,j/scale].
//   x [N,C,H,W], y [N,C,H*scale,W*scale], f32 or f64. Throws Error when x is not 4-D or scale < 1.
// Source: graph.md 3.1. Oracle: torch.nn.Upsample(scale_factor=scale, mode='nearest').
#pragma once

#include "ops/impls.h"

namespace mtyolo::ops {

struct Upsample {
  int scale = 2;
  bool operator==(const Upsample&) const = default;
};

struct UpsampleForward {
  static constexpr const char* kName = "upsample";
  struct Query {
    const Tensor& x;
  };
  using Run = void (*)(Context&, const Tensor& x, const Upsample&, Tensor& y);
};

Shape upsample_shape(const Shape& x, const Upsample& p);
void upsample_forward(Context& ctx, const Impls& impls, const Tensor& x, const Upsample& p, Tensor& y);

}  // namespace mtyolo::ops

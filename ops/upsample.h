// Nearest-neighbour upsampling by a whole factor: y[n,c,i,j] = x[n,c,i/scale,j/scale].
//   x [N,C,H,W], y [N,C,H*scale,W*scale], f32 or f64. Throws Error when x is not 4-D or scale < 1.
// Source: graph.md 3.1. Oracle: torch.nn.Upsample(scale_factor=scale, mode='nearest').
#pragma once

#include "ops/grad_mode.h"
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

// gx[n,c,i,j] = sum of gy over the scale x scale outputs of (i,j).
struct UpsampleBackward {
  static constexpr const char* kName = "upsample_grad";
  struct Query {
    const Tensor& gy;
  };
  using Run = void (*)(Context&, const Tensor& gy, const Upsample&, GradMode, Tensor& gx);
};
void upsample_backward(Context& ctx, const Impls& impls, const Tensor& gy, const Upsample& p, GradMode mode,
                       Tensor& gx);

}  // namespace mtyolo::ops

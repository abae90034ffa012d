// Max pooling over images.
//   y[n,c,i,j] = max over 0 <= u,v < k of x[n, c, i*stride - pad + u, j*stride - pad + v]
// Padding counts as minus infinity, never as zero.
//   x  [N,C,H,W]    f32 or f64, any strides
//   y  [N,C,H',W']  same type; H' = (H + 2*pad - k) / stride + 1, rounded down
// Throws Error when x is not 4-D, 2*pad > k, or H' or W' would be below 1.
// Source: graph.md 3.1, MP (k = stride = 2) and SP (stride 1, pad k/2). Oracle: torch.max_pool2d.
#pragma once

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

struct MaxPool2d {
  int k = 2, stride = 2, pad = 0;
  bool operator==(const MaxPool2d&) const = default;
};

struct MaxPool2dForward {
  static constexpr const char* kName = "max_pool2d";
  struct Query {
    const Tensor& x;
    MaxPool2d params;
  };
  using Run = void (*)(Context&, const Tensor& x, const MaxPool2d&, Tensor& y);
};

Shape max_pool2d_shape(const Shape& x, const MaxPool2d& p);
void max_pool2d_forward(Context& ctx, const Impls& impls, const Tensor& x, const MaxPool2d& p, Tensor& y);

// gx: each output's gradient goes to the first maximum of its window in row-major order.
struct MaxPool2dBackward {
  static constexpr const char* kName = "max_pool2d_grad";
  struct Query {
    const Tensor& x;
    MaxPool2d params;
  };
  using Run = void (*)(Context&, const Tensor& x, const Tensor& gy, const MaxPool2d&, GradMode, Tensor& gx);
};
void max_pool2d_backward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                         const MaxPool2d& p, GradMode mode, Tensor& gx);

}  // namespace mtyolo::ops

// 2-D convolution (cross-correlation).
//   y[n,o,i,j] = bias[o] + sum over c, u, v of x[n, g*C/G + c, i*stride - pad + u*dilation, j*stride - pad +
//   v*dilation]
//                                              * weight[o, c, u, v],        g = o / (O/G); pixels outside
//                                              count as 0
//   x       [N,C,H,W]       f32 (reference also f64), any strides
//   weight  [O,C/G,kh,kw]   same type
//   bias    [O] or undefined
//   y       [N,O,H',W']     H' = (H + 2*pad_h - dilation_h*(kh-1) - 1) / stride_h + 1, rounded down; likewise
//   W'
// The order of summation of an output depends on neither its channel's position nor the number of channels,
// so a subset of the output channels gives the same bits. Throws Error when ranks, channels or groups do not
// fit, or H' or W' would be below 1. Source: graph.md 3.1. Oracle: torch.nn.functional.conv2d.
#pragma once

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

struct Conv2d {
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int pad_h = 0, pad_w = 0;
  int dilation_h = 1, dilation_w = 1;
  int groups = 1;
  // A square kernel with the same numbers on both axes.
  static Conv2d square(int kernel, int stride, int pad, int groups = 1);
  bool operator==(const Conv2d&) const = default;
};

struct Conv2dForward {
  static constexpr const char* kName = "conv2d";
  struct Query {
    const Tensor& x;
    const Tensor& weight;
    Conv2d params;
  };
  using Run = void (*)(Context&, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2d&,
                       Tensor& y);
};

Shape conv2d_shape(const Shape& x, const Shape& weight, const Conv2d& p);
void conv2d_forward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Conv2d& p, Tensor& y);

// Gradients of a loss L. gy = dL/dy [N,O,H',W'].
//   gx[n,c,i,j]   = sum of gy[n,o,i',j'] * weight[o,c,u,v] over all (o,u,v) and outputs (i',j') that read
//   (i,j) gw[o,c,u,v]   = sum over n, i', j' of gy[n,o,i',j'] * x[n,c, i'*stride - pad + u*dilation, ...]
//   gb[o]         = sum over n, i', j' of gy[n,o,i',j']          (gb undefined: not wanted)
// Both sums have a fixed order that does not depend on the number of threads.
struct Conv2dBackwardInput {
  static constexpr const char* kName = "conv2d_dgrad";
  struct Query {
    const Tensor& gy;
    const Tensor& weight;
    Conv2d params;
    const Tensor& gx;
  };
  using Run = void (*)(Context&, const Tensor& gy, const Tensor& weight, const Conv2d&, GradMode, Tensor& gx);
};
struct Conv2dBackwardWeight {
  static constexpr const char* kName = "conv2d_wgrad";
  struct Query {
    const Tensor& x;
    const Tensor& gy;
    Conv2d params;
    const Tensor& gw;
  };
  using Run = void (*)(Context&, const Tensor& x, const Tensor& gy, const Conv2d&, GradMode, Tensor& gw,
                       Tensor& gb);
};
void conv2d_backward_input(Context& ctx, const Impls& impls, const Tensor& gy, const Tensor& weight,
                           const Conv2d& p, GradMode mode, Tensor& gx);
void conv2d_backward_weight(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                            const Conv2d& p, GradMode mode, Tensor& gw, Tensor& gb);

}  // namespace mtyolo::ops

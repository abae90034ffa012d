// Cross-stitch unit: the value of one task as a linear combination, per channel, of the values of all tasks.
//   y[n,c,i,j] = sum_k weight[k,c] * x_k[n,c,i,j]
//   x_k, y [N,C,H,W] f32 or f64, weight [K,C] plain. Throws Error when shapes differ or there is no x.
// Source: Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, section 3, equation 1,
// with the weights per channel of section 4.1.
#pragma once

#include <span>

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

struct CrossStitch {
  bool operator==(const CrossStitch&) const = default;
};

void cross_stitch_forward(Context& ctx, std::span<const Tensor> x, const Tensor& weight, Tensor& y);

// Gradient of one x_k: gx = gy * weight[k,c] (undefined: not wanted), g_weight[c] += sum gy * x (undefined:
// not wanted). weight and g_weight are the row of k, [C].
void cross_stitch_backward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& gy,
                           GradMode mode, Tensor& gx, Tensor& g_weight);

}  // namespace mtyolo::ops

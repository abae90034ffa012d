// Batch normalisation with running statistics (inference form).
//   y[n,c,i,j] = (x[n,c,i,j] - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]
//   x, y  [N,C,H,W] f32 or f64; weight, bias, mean, var [C] of the same type
// eps is 1e-3 in YOLOv7 (graph.md 2.6); it is no entry of the state dict.
// Throws Error when a vector's length is not C. Oracle: torch.nn.functional.batch_norm(training=False).
#pragma once

#include "ops/impls.h"

namespace mtyolo::ops {

struct BatchNorm {
  double eps = 1e-3;
  bool operator==(const BatchNorm&) const = default;
};

struct BatchNormStats {
  Tensor weight, bias, mean, var;
};

struct BatchNormForward {
  static constexpr const char* kName = "batch_norm";
  struct Query {
    const Tensor& x;
  };
  using Run = void (*)(Context&, const Tensor& x, const BatchNormStats&, const BatchNorm&, Tensor& y);
};

void batch_norm_forward(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                        const BatchNorm& p, Tensor& y);

}  // namespace mtyolo::ops

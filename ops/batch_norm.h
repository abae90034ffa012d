// Batch normalisation with running statistics (inference form).
//   y[n,c,i,j] = (x[n,c,i,j] - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]
//   x, y  [N,C,H,W] f32 or f64; weight, bias, mean, var [C] of the same type
// eps is 1e-3 in YOLOv7 (graph.md 2.6); it is no entry of the state dict.
// Throws Error when a vector's length is not C. Oracle: torch.nn.functional.batch_norm(training=False).
#pragma once

#include "ops/activation.h"
#include "ops/grad_mode.h"
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

// Training form, with the activation that follows it: one pass saved, one tensor less kept for the backward
// pass, which computes u again from x.
//   mean[c], var[c]   of x over n, i, j (var: divided by the count); frozen: the running ones
//   u = (x - mean) / sqrt(var + eps) * weight + bias,  y = activation(u)
// Unless frozen, the running statistics move: r = (1 - momentum) * r + momentum * batch, the variance with
// the unbiased batch variance (divided by count - 1; count 1: by 1). YOLOv7: momentum 0.03. Sums are
// accumulated so that a mean of 1e4 times the deviation still gives the right variance.
struct BatchNormTrain {
  double eps = 1e-3, momentum = 0.03;
  bool frozen = false;
  Activation activation;
};
struct BatchNormSaved {
  Tensor mean, inv_std;  // [C], of the type of x; written by forward, read by backward
};
struct BatchNormTrainForward {
  static constexpr const char* kName = "batch_norm_train";
  struct Query {
    const Tensor& x;
    BatchNormTrain params;
  };
  // stats.mean and stats.var are updated in place.
  using Run = void (*)(Context&, const Tensor& x, const BatchNormStats&, const BatchNormTrain&,
                       const BatchNormSaved&, Tensor& y);
};
void batch_norm_train_forward(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                              const BatchNormTrain& p, const BatchNormSaved& saved, Tensor& y);
// y once more from what the forward pass saved; nothing moves.
void batch_norm_train_again(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                            const BatchNormTrain& p, const BatchNormSaved& saved, Tensor& y);

// gu = gy * activation'(u); gw[c] = sum gu * xhat, gb[c] = sum gu, with xhat = (x - mean) * inv_std;
// gx = weight * inv_std * (gu - gb/count - xhat * gw/count); frozen: gx = weight * inv_std * gu.
// gx may be the tensor gy (its memory is then overwritten). gw, gb of mode `param_mode`. Undefined ones are
// not wanted.
struct BatchNormGrads {
  Tensor gx, gw, gb;
  GradMode x_mode = GradMode::kOverwrite, param_mode = GradMode::kAccumulate;
};
struct BatchNormTrainBackward {
  static constexpr const char* kName = "batch_norm_train_grad";
  struct Query {
    const Tensor& x;
    BatchNormTrain params;
  };
  using Run = void (*)(Context&, const Tensor& x, const Tensor& gy, const BatchNormStats&,
                       const BatchNormTrain&, const BatchNormSaved&, const BatchNormGrads&);
};
void batch_norm_train_backward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                               const BatchNormStats& stats, const BatchNormTrain& p,
                               const BatchNormSaved& saved, const BatchNormGrads& grads);

}  // namespace mtyolo::ops

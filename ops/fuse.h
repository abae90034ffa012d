// Folding of batch norms, RepConv branches and implicit terms into one convolution (graph.md section 4), used
// by the plan and by `reparam`. Everything is computed in f64 and rounded once to f32. Weights are
// [O,C/G,kh,kw]; the inputs may have any floating type. The functions throw Error when shapes do not fit.
#pragma once

#include <optional>

#include "core/thread_pool.h"
#include "ops/batch_norm.h"

namespace mtyolo::ops {

// A convolution's parameters; `bias` may be undefined where it is an input.
struct ConvWeights {
  Tensor weight, bias;
};

// Where a fused weight goes, and who computes it.
struct FuseInto {
  Tensor memory;  // f32 [n], n at least the weight's size; may hold the weight fused. Else a new tensor
  ThreadPool* pool = nullptr;  // null: the caller alone
};

// conv followed by batch norm, r = gamma / sqrt(var + eps):
//   weight'[o] = r[o] * weight[o]      bias'[o] = beta[o] - r[o] * mean[o] (+ r[o] * bias[o])
ConvWeights fuse_conv_bn(const ConvWeights& conv, const BatchNormStats& bn, double eps,
                         const FuseInto& into = {});

// The parameters of RepConv in training form: bn(3x3 conv) + bn(1x1 conv) + bn(input), none with a bias.
struct RepConvWeights {
  Tensor dense;  // [O,C/G,3,3]
  BatchNormStats dense_bn;
  Tensor one;  // [O,C/G,1,1]
  BatchNormStats one_bn;
  std::optional<BatchNormStats> identity;  // only where O = C and the stride is 1
};

// One 3x3 convolution with bias and padding 1. The identity branch is the kernel whose centre tap of output o
// is 1 at input channel o of the image, that is at o mod (C/G) of its group, and 0 elsewhere.
ConvWeights fuse_repconv(const RepConvWeights& rep, double eps, int groups = 1, const FuseInto& into = {});

// mul * conv(x + add) as one convolution (heads IDetect and IAuxDetect):
//   bias'[o] = mul[o] * (bias[o] + sum over c, u, v of weight[o,c,u,v] * add[g*C/G + c])   weight'[o] =
//   mul[o] * weight[o] add  [1,C,1,1] or undefined (0);  mul  [1,O,1,1] or undefined (1)
// Exact only without padding: the implicit term is not added to padded pixels. Applying it twice is wrong;
// the caller keeps track.
ConvWeights fuse_implicit(const ConvWeights& conv, const Tensor& add, const Tensor& mul, int groups = 1,
                          const FuseInto& into = {});

}  // namespace mtyolo::ops

// Batch norm in training with the activation behind it, on maps as convolutions leave them: y -> a, and back.
// Contract and formulas: ops/batch_norm.h; which passes: cuda.md section 5.
//   u = (y - mean) * scale + bias, a = act(u)                      scale = weight / sqrt(var + eps)
//   gu = ga * act'(u), grad_weight[c] += sum gu * xhat, grad_bias[c] += sum gu    xhat = (y - mean) * inv_std
//   gy = scale * (gu - sum gu / pixels - xhat * sum gu * xhat / pixels);  frozen: gy = scale * gu
// Maps of one call have one shape and type (f32, f16, bf16) and may be slices; all else is f32. 16 bytes at a
// time where all pixels are aligned for it, else element by element.
#pragma once

#include "cuda/column_grid.h"
#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

// [c] each, on the device. The last four are written by bn_finalize; the batch's, or with frozen statistics
// the running ones.
struct NormChannels {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float *running_mean = nullptr, *running_var = nullptr;
  float *mean = nullptr, *inv_std = nullptr, *scale = nullptr;
  float* shift = nullptr;  // bias - mean * scale, for the epilogue of a convolution; or null
};

struct BnFinalizeArgs {
  NormChannels norm{};
  int c = 0;
  // As ConvArgs::moments, or of bn_moments: [tiles][3][c] of {count, mean, M2}, joined in the order of tiles
  // (Chan, Golub and LeVeque 1979) in double precision. Null: frozen, the running statistics are taken and do
  // not move.
  const float* moments = nullptr;
  int tiles = 0;
  double eps = 1e-3, momentum = 0.03;  // of ops::BatchNormTrain
};

struct BnActArgs {
  NormChannels norm{};
  KernelActivation activation = KernelActivation::kNone;  // kNone, kSilu, kLeakyRelu
  bool frozen = false;
  KernelMap y;
  KernelMap a{};                                       // apply
  KernelMap ga{};                                      // backward
  KernelMap gy{};                                      // backward_apply; may be ga
  float *grad_weight = nullptr, *grad_bias = nullptr;  // backward_reduce: added to; null: not wanted
  float* sums = nullptr;       // [2][c], gu and gu * xhat: of backward_reduce for backward_apply
  float* workspace = nullptr;  // backward_reduce: bn_workspace(y) bytes
};

inline constexpr int kMomentTile = 128;  // pixels
inline int bn_moment_tiles(const KernelMap& y) { return column_grid(y, kMomentTile).tiles; }
inline size_t bn_workspace(const KernelMap& y) { return column_workspace(y, 2); }

// Throw Error{"check"} for arguments outside the above. bn_moments is for a y that came from no convolution
// of ours: [bn_moment_tiles(y)][3][c].
#define MTYOLO_NORM                                                         \
  void bn_moments(KernelStream stream, const KernelMap& y, float* moments); \
  void bn_finalize(KernelStream stream, const BnFinalizeArgs& args);        \
  void bn_act_apply(KernelStream stream, const BnActArgs& args);            \
  void bn_act_backward_reduce(KernelStream stream, const BnActArgs& args);  \
  void bn_act_backward_apply(KernelStream stream, const BnActArgs& args);
namespace simt {
MTYOLO_NORM
}
namespace cuda {
MTYOLO_NORM
}
#undef MTYOLO_NORM

}  // namespace mtyolo

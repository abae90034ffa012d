// Batch norm in training, on the arguments of ops/device/training.h. 16 bytes at a time where all pixels are
// aligned for it, else element by element.
#pragma once

#include "cuda/column_grid.h"
#include "cuda/dims.h"
#include "ops/device/training.h"

namespace mtyolo {

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

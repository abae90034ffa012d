// Gradients of map_ops.h. The gradient of add and of a slice (concat) is copy_map, or add into itself; that
// of one input of cross_stitch is scale_shift_grad with its row of weights as scale; of max_pool: pool.h.
#pragma once

#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

// Contracts, the same in both namespaces. Maps of one call have one type (f32, f16, bf16); sums are in f32
// and a fixed order; with `accumulate` a result is added to gx. Throw Error{"check"} when shapes or types do
// not fit.
//   activate_grad        gx = gy * dact/dx(x), x as given to activate; gx may be gy
//   upsample_grad        gx = the sum of the scale^2 pixels of gy
//   space_to_depth_grad  gx = gy's channels put back
//   scale_shift_grad     gx (or none) = gy * scale[c] (null: 1); g_scale[c] += sum gy * x, g_shift[c] += sum
//   gy
//                        (null: not wanted); x only for g_scale. `workspace`: scale_shift_grad_workspace(c)
//                        bytes, unless neither sum is wanted.
constexpr size_t scale_shift_grad_workspace(int channels) {
  return size_t(channels) * 2 * 64 * sizeof(float);
}
#define MTYOLO_MAP_GRAD                                                                                     \
  void activate_grad(KernelStream stream, KernelActivation activation, const KernelMap& x,                  \
                     const KernelMap& gy, bool accumulate, const KernelMap& gx);                            \
  void upsample_grad(KernelStream stream, const KernelMap& gy, int scale, bool accumulate,                  \
                     const KernelMap& gx);                                                                  \
  void space_to_depth_grad(KernelStream stream, const KernelMap& gy, bool accumulate, const KernelMap& gx); \
  void scale_shift_grad(KernelStream stream, const KernelMap& x, const float* scale, const KernelMap& gy,   \
                        bool accumulate, const KernelMap& gx, float* g_scale, float* g_shift,               \
                        void* workspace);
namespace simt {
MTYOLO_MAP_GRAD
}
namespace cuda {
MTYOLO_MAP_GRAD
}
#undef MTYOLO_MAP_GRAD

}  // namespace mtyolo

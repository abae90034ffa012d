// Max pooling of maps, forward and backward.
#pragma once

#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

// Contracts, the same in both namespaces. Throw Error{"check"} when shapes or types do not fit.
//   max_pool       y = the largest of each k x k window of x, what is outside does not count; a NaN is larger
//                  than all others; f32, f16, bf16, s8. argmax (null: not wanted) [y's pixels][y.c] u8: index
//                  in the window, row-major, of the first maximum; k at most 16; not for s8.
//   max_pool_grad  gx = the sums, in f32 and row-major order, of the gy whose argmax is that pixel; with
//                  `accumulate` added to gx. f32, f16, bf16.
#define MTYOLO_POOL                                                                                      \
  void max_pool(KernelStream stream, const KernelMap& x, int k, int stride, int pad, const KernelMap& y, \
                uint8_t* argmax = nullptr);                                                              \
  void max_pool_grad(KernelStream stream, const KernelMap& gy, const uint8_t* argmax, int k, int stride, \
                     int pad, bool accumulate, const KernelMap& gx);
namespace simt {
MTYOLO_POOL
}
namespace cuda {
MTYOLO_POOL
}
#undef MTYOLO_POOL

}  // namespace mtyolo

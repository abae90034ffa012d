// What a network does to maps besides convolutions, forward, in one pass each. Maps of one call have one type
// (f32, f16, bf16; pools, copies and upsampling also s8) unless said otherwise; 16 bytes at a time where
// pixels are aligned for it, else element by element.
#pragma once

#include <span>

#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

inline constexpr int kMostStitched = 8;  // inputs of cross_stitch

// Contracts, the same in both namespaces. Throw Error{"check"} when shapes or types do not fit.
//   activate         y = act(x); x and y may be the same map
//   add              y = a + b
//   copy_map         y = x with a conversion of type: a slice into another, or f32 <-> f16 <-> bf16
//   upsample         y (scale*h, scale*w) = nearest of x
//   max_pool         y = the largest of each k x k window of x, what is outside does not count; argmax (null:
//   not
//                    wanted) [y's pixels][y.c] u8: index in the window, row-major, of the first maximum
//   space_to_depth   y (h/2, w/2, 4c) = yolov7's ReOrg: channels of pixels (0,0), (1,0), (0,1), (1,1) (row,
//   column);
//                    padded channels of x (x.c counts only real ones) are left out
//   scale_shift      y[..c] = x[..c] * scale[c] + shift[c]; either may be null
//   cross_stitch     y[..c] = sum_i weight[i * y.c + c] x_i[..c]
#define MTYOLO_MAP_OPS                                                                                     \
  void activate(KernelStream stream, KernelActivation activation, const KernelMap& x, const KernelMap& y); \
  void add(KernelStream stream, const KernelMap& a, const KernelMap& b, const KernelMap& y);               \
  void copy_map(KernelStream stream, const KernelMap& x, const KernelMap& y);                              \
  void upsample(KernelStream stream, const KernelMap& x, int scale, const KernelMap& y);                   \
  void max_pool(KernelStream stream, const KernelMap& x, int k, int stride, int pad, const KernelMap& y,   \
                uint8_t* argmax = nullptr);                                                                \
  void space_to_depth(KernelStream stream, const KernelMap& x, const KernelMap& y);                        \
  void scale_shift(KernelStream stream, const KernelMap& x, const float* scale, const float* shift,        \
                   const KernelMap& y);                                                                    \
  void cross_stitch(KernelStream stream, std::span<const KernelMap> x, const float* weight,                \
                    const KernelMap& y);
namespace simt {
MTYOLO_MAP_OPS
}
namespace cuda {
MTYOLO_MAP_OPS
}
#undef MTYOLO_MAP_OPS

}  // namespace mtyolo

// What a network does to maps besides convolutions and pools, forward, in one pass each. Maps of one call
// have one type (f32, f16, bf16; copies, upsampling and space_to_depth of any type) unless said otherwise; 16
// bytes at a time where pixels are aligned for it, else element by element.
#pragma once

#include <span>

#include "cuda/dims.h"
#include "cuda/pool.h"
#include "ops/device/types.h"

namespace mtyolo {

inline constexpr int kMostStitched = 8;  // inputs of cross_stitch

// Contracts, the same in both namespaces. Throw Error{"check"} when shapes or types do not fit, or a map has
// 2^31 values or more. A plain array of n values is a map of one pixel and n channels.
//   activate         y = act(x); x and y may be the same map
//   add              y = a + b; y may be a or b
//   copy_map         y = x, bit for bit, or with a conversion of type: f32, f16, bf16 into one another
//   fill             y = value, which fits y's type
//   upsample         y (scale*h, scale*w) = nearest of x
//   space_to_depth   y (h/2, w/2, 4c) = yolov7's ReOrg: x's channels of pixels (0,0), (1,0), (0,1), (1,1)
//                    (row, column); channels that pad x (x.c counts only real ones) are left out
//   scale_shift      y[..c] = x[..c] * scale[c] + shift[c]; either may be null; x and y may be the same map
//   cross_stitch     y[..c] = sum_i weight[i * y.c + c] x_i[..c]
#define MTYOLO_MAP_OPS                                                                                     \
  void activate(KernelStream stream, KernelActivation activation, const KernelMap& x, const KernelMap& y); \
  void add(KernelStream stream, const KernelMap& a, const KernelMap& b, const KernelMap& y);               \
  void copy_map(KernelStream stream, const KernelMap& x, const KernelMap& y);                              \
  void fill(KernelStream stream, const KernelMap& y, float value);                                         \
  void upsample(KernelStream stream, const KernelMap& x, int scale, const KernelMap& y);                   \
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

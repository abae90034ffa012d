// Forward convolution as an implicit matrix product: rows are output pixels, columns output channels, depth
// is kernel row, kernel column, channel.
//   y[n,p,q,k] = act(scale[k] * sum_{r,s,c} x[n, p*stride - pad + r, q*stride - pad + s, c] w[k,r,s,c] +
//   bias[k])
//                + residual[n,p,q,k]                                (pixels outside x count as 0)
#pragma once

#include "ops/device/types.h"

namespace mtyolo {

// How the work is cut: `m` pixels by `n` channels a block, `stages` tiles of depth in flight, the depth in
// `splits` parts that are added in order.
struct ConvConfig {
  int m = 64, n = 64, stages = 3, splits = 1;
  bool operator==(const ConvConfig&) const = default;
};

struct ConvArgs {
  KernelMath math = KernelMath::kF16;
  // Of the math's type. Pixels begin at multiples of 16 bytes and have a multiple of 16 bytes of channels
  // (the channels that pad are zero in x or in weight), but for maps of 4 channels stored as 4.
  KernelMap x;
  // [y.c][kernel][kernel][x.c / groups], of the math's type; rows begin every weight_stride elements, a
  // multiple of 16 bytes, and are zero behind their end.
  const void* weight = nullptr;
  int weight_stride = 0;
  int kernel = 1, stride = 1, pad = 0, groups = 1;
  KernelEpilogue epilogue{};
  KernelMap residual{};  // of y's shape and type, or none
  // Of the math's type, or f32; for s8 also f16. Any channel offset and pixel stride: it may be a slice of a
  // concatenation.
  KernelMap y;
  // A second copy of the result, or none: same type, own slice. With upsample_second every pixel of it stands
  // four times (twice the height and width).
  KernelMap second{};
  bool upsample_second = false;
  // Batch norm in training, or null: for each tile of rows and each channel {count, mean, M2} of the values
  // as they are stored, [tiles][3][y.c] f32 (cuda.md section 5); conv_moment_tiles() says how many tiles.
  float* moments = nullptr;
  ConvConfig config{};
  // Of conv_workspace() bytes. The counters in its first 16 KiB are zero before and after, whatever the
  // sizes, so that convolutions can share it.
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
};

}  // namespace mtyolo

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

// Gradients of the convolution without scale, activation and residual (cuda.md section 4):
//   dgrad  gx[n,h,w,c] (+)= sum_{r,s,k} gy[n, (h+pad-r)/stride, (w+pad-s)/stride, k] w[k,r,s,c]   (whole
//   quotients inside gy only)
//   wgrad  gw[k,r,s,c] (+)= sum_{n,p,q} gy[n,p,q,k] x[n, p*stride-pad+r, q*stride-pad+s, c]
//   bias   gb[k] (+)= sum_{n,p,q} gy[n,p,q,k]
// With groups k and c are of one group, c counted from its first channel in w and gw.
// Sums are f32 and in an order that the arguments fix. A loss scale in gy stays in the results.

// Maps and weights are of the math's type, which is not s8. Pixels begin at multiples of 16 bytes. gy.c is
// any (255): where it is no multiple of 16 bytes, gy's pixels go on to the next one and hold finite values
// there. config: m pixels of gx by n channels of it a block; one split, four stages. No workspace.
struct ConvDgradArgs {
  KernelMath math = KernelMath::kF16;
  KernelMap gy;
  const void* weight =
      nullptr;            // as in ConvArgs: [gy.c][kernel][kernel][gx.c / groups], rows every weight_stride
  int weight_stride = 0;  // elements, a multiple of 16 bytes
  int kernel = 1, stride = 1, pad = 0, groups = 1;
  KernelMap gx;             // a multiple of 16 bytes of channels; may be a slice of a concatenation
  bool accumulate = false;  // gx is added to (in f32, then rounded) instead of overwritten
  ConvConfig config{.stages = 4};
};

// Maps are of the math's type, which is not s8, and begin their pixels at multiples of 16 bytes; gy as above,
// but the channels behind its last may hold anything. x.c is a multiple of 16 bytes, or 4 channels of 16
// bits. config: m channels of gy by n columns (r,s,c) a block; the pixels in `splits` parts.
struct ConvWgradArgs {
  KernelMath math = KernelMath::kF16;
  KernelMap gy, x;
  int kernel = 1, stride = 1, pad = 0, groups = 1;
  // f32, element (k, r, s, c) at k * stride_k + (r * kernel + s) * stride_tap + c * stride_c, so that
  // [k][r][s][c] and [k][c][r][s] are both possible. Of the first `channels` channels of a group of x (0: of
  // all).
  float* gw = nullptr;
  int64_t stride_k = 0, stride_tap = 0, stride_c = 1;
  int channels = 0;
  bool accumulate = false;    // gw is added to instead of overwritten
  int* non_finite = nullptr;  // set to 1 when a stored value is infinite or NaN; null: not wanted
  ConvConfig config{.stages = 4};
  void* workspace = nullptr;  // of conv_wgrad_workspace() bytes, at a multiple of 16; any content
  size_t workspace_bytes = 0;
};

// gy as for wgrad; its type is f32, f16 or bf16.
struct BiasGradArgs {
  KernelMap gy;
  float* gb = nullptr;  // [gy.c]
  bool accumulate = false;
  int* non_finite = nullptr;
  void* workspace = nullptr;  // of bias_grad_workspace() bytes, at a multiple of 16; any content
  size_t workspace_bytes = 0;
};

}  // namespace mtyolo

// Gradients of the convolution of conv.h without scale, activation and residual (cuda.md section 4):
//   dgrad  gx[n,h,w,c] (+)= sum_{r,s,k} gy[n, (h+pad-r)/stride, (w+pad-s)/stride, k] w[k,r,s,c]   (whole
//   quotients inside gy only)
//   wgrad  gw[k,r,s,c] (+)= sum_{n,p,q} gy[n,p,q,k] x[n, p*stride-pad+r, q*stride-pad+s, c]
//   bias   gb[k] (+)= sum_{n,p,q} gy[n,p,q,k]
// With groups k and c are of one group, c counted from its first channel in w and gw.
// Sums are f32 and in an order that the arguments fix. A loss scale in gy stays in the results.
#pragma once

#include <vector>

#include "cuda/conv.h"

namespace mtyolo {

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

// Why no configuration can run it, or null. config and workspace are not looked at.
const char* conv_dgrad_refuses(const ConvDgradArgs& args);
const char* conv_wgrad_refuses(const ConvWgradArgs& args);
const char* bias_grad_refuses(const BiasGradArgs& args);
// The configurations that can run it, the one to take without measuring first; none when it is refused.
std::vector<ConvConfig> conv_dgrad_configs(const ConvDgradArgs& args, int multiprocessors,
                                           size_t shared_bytes);
std::vector<ConvConfig> conv_wgrad_configs(const ConvWgradArgs& args, int multiprocessors,
                                           size_t shared_bytes);
// Bytes, with args.config.
size_t conv_wgrad_workspace(const ConvWgradArgs& args);
size_t bias_grad_workspace(const BiasGradArgs& args);
// Into how many parts bias_grad cuts the pixels.
int bias_grad_splits(const BiasGradArgs& args);

// Throw Error{"check"} for arguments outside the above.
namespace simt {
void conv_dgrad(KernelStream stream, const ConvDgradArgs& args);
void conv_wgrad(KernelStream stream, const ConvWgradArgs& args);
void bias_grad(KernelStream stream, const BiasGradArgs& args);
}  // namespace simt
namespace cuda {
void conv_dgrad(KernelStream stream, const ConvDgradArgs& args);
void conv_wgrad(KernelStream stream, const ConvWgradArgs& args);
void bias_grad(KernelStream stream, const BiasGradArgs& args);
}  // namespace cuda

}  // namespace mtyolo

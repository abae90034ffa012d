// Gradients of the convolution of conv.h, on the arguments of ops/device/conv.h.
#pragma once

#include <vector>

#include "cuda/conv.h"

namespace mtyolo {

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

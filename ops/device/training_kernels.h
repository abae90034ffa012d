// The kernels of training as a table, so that a training step need not know for which device they were
// compiled. Contracts: ops/device/{conv,training}.h, cuda/{conv_grad,norm,pool,map_grad,optimizer,image}.h.
#pragma once

#include <span>
#include <vector>

#include "ops/device/conv.h"
#include "ops/device/stream.h"
#include "ops/device/training.h"

namespace mtyolo {

struct TrainingKernels {
  using Map = KernelMap;
  template <class Args>
  using Kernel = void (*)(KernelStream stream, const Args& args);

  const char* (*conv_dgrad_refuses)(const ConvDgradArgs& args);
  std::vector<ConvConfig> (*conv_dgrad_configs)(const ConvDgradArgs& args, int multiprocessors,
                                                size_t shared_bytes);
  Kernel<ConvDgradArgs> conv_dgrad;
  const char* (*conv_wgrad_refuses)(const ConvWgradArgs& args);
  std::vector<ConvConfig> (*conv_wgrad_configs)(const ConvWgradArgs& args, int multiprocessors,
                                                size_t shared_bytes);
  size_t (*conv_wgrad_workspace)(const ConvWgradArgs& args);
  Kernel<ConvWgradArgs> conv_wgrad;

  int (*bn_moment_tiles)(const Map& y);
  size_t (*bn_workspace)(const Map& y);
  void (*bn_moments)(KernelStream stream, const Map& y, float* moments);
  Kernel<BnFinalizeArgs> bn_finalize;
  Kernel<BnActArgs> bn_act_apply, bn_act_backward_reduce, bn_act_backward_apply;

  void (*max_pool)(KernelStream stream, const Map& x, int k, int stride, int pad, const Map& y,
                   uint8_t* argmax);
  void (*max_pool_grad)(KernelStream stream, const Map& gy, const uint8_t* argmax, int k, int stride, int pad,
                        bool accumulate, const Map& gx);
  void (*upsample_grad)(KernelStream stream, const Map& gy, int scale, bool accumulate, const Map& gx);

  size_t (*gradient_squares_workspace)(int64_t n);
  void (*gradient_squares)(KernelStream stream, const float* gradients, int64_t n, StepControl* control,
                           void* workspace);
  Kernel<BeginStepArgs> begin_step;
  Kernel<OptimizerStepArgs> optimizer_step;

  void (*letterbox)(KernelStream stream, std::span<const LetterboxImage> images, const Map& y,
                    float out_scale);
};

}  // namespace mtyolo

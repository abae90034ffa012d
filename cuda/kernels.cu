#include "cuda/kernels.h"

#include "cuda/conv.h"
#include "cuda/conv_grad.h"
#include "cuda/conv_hopper.h"
#include "cuda/detect.h"
#include "cuda/device/config.cuh"
#include "cuda/image.h"
#include "cuda/map_grad.h"
#include "cuda/map_ops.h"
#include "cuda/norm.h"
#include "cuda/optimizer.h"
#include "ops/device/training_kernels.h"

// The namespace as text.
#define MTYOLO_TEXT_OF(word) #word
#define MTYOLO_TEXT(word) MTYOLO_TEXT_OF(word)

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

namespace ns = ::mtyolo::MTYOLO_KERNEL_NS;

constexpr TrainingKernels kTraining{.conv_dgrad_refuses = ::mtyolo::conv_dgrad_refuses,
                                    .conv_dgrad_configs = ::mtyolo::conv_dgrad_configs,
                                    .conv_dgrad = ns::conv_dgrad,
                                    .conv_wgrad_refuses = ::mtyolo::conv_wgrad_refuses,
                                    .conv_wgrad_configs = ::mtyolo::conv_wgrad_configs,
                                    .conv_wgrad_workspace = ::mtyolo::conv_wgrad_workspace,
                                    .conv_wgrad = ns::conv_wgrad,
                                    .bn_moment_tiles = ::mtyolo::bn_moment_tiles,
                                    .bn_workspace = ::mtyolo::bn_workspace,
                                    .bn_moments = ns::bn_moments,
                                    .bn_finalize = ns::bn_finalize,
                                    .bn_act_apply = ns::bn_act_apply,
                                    .bn_act_backward_reduce = ns::bn_act_backward_reduce,
                                    .bn_act_backward_apply = ns::bn_act_backward_apply,
                                    .max_pool = ns::max_pool,
                                    .max_pool_grad = ns::max_pool_grad,
                                    .upsample_grad = ns::upsample_grad,
                                    .gradient_squares_workspace = ::mtyolo::gradient_squares_workspace,
                                    .gradient_squares = ns::gradient_squares,
                                    .begin_step = ns::begin_step,
                                    .optimizer_step = ns::optimizer_step,
                                    .letterbox = ns::letterbox};

// Every call goes to the function of that name in this build's namespace.
class Kernels : public DeviceKernels {
 public:
  std::string prefix() const override { return MTYOLO_TEXT(MTYOLO_KERNEL_NS); }
  std::vector<ConvConfig> conv_configs(const ConvArgs& args, int multiprocessors,
                                       size_t shared_bytes) const override {
    return ::mtyolo::conv_configs(args, multiprocessors, shared_bytes);
  }
  const char* conv_refuses(const ConvArgs& args) const override { return ::mtyolo::conv_refuses(args); }
  size_t conv_workspace(const ConvArgs& args) const override { return ::mtyolo::conv_workspace(args); }
  void conv(KernelStream s, const ConvArgs& args) const override { ns::conv(s, args); }
  void conv_hopper(KernelStream s, const ConvArgs& args, int multiprocessors) const override {
    ns::conv_hopper(s, args, multiprocessors);
  }

  void activate(KernelStream s, KernelActivation act, const Map& x, const Map& y) const override {
    ns::activate(s, act, x, y);
  }
  void add(KernelStream s, const Map& a, const Map& b, const Map& y) const override { ns::add(s, a, b, y); }
  void copy_map(KernelStream s, const Map& x, const Map& y) const override { ns::copy_map(s, x, y); }
  void upsample(KernelStream s, const Map& x, int scale, const Map& y) const override {
    ns::upsample(s, x, scale, y);
  }
  void max_pool(KernelStream s, const Map& x, int k, int stride, int pad, const Map& y) const override {
    ns::max_pool(s, x, k, stride, pad, y);
  }
  void space_to_depth(KernelStream s, const Map& x, const Map& y) const override {
    ns::space_to_depth(s, x, y);
  }
  void cross_stitch(KernelStream s, std::span<const Map> x, const float* weight,
                    const Map& y) const override {
    ns::cross_stitch(s, x, weight, y);
  }

  void normalise(KernelStream s, const void* images, KernelType type, const Map& y) const override {
    ns::normalise(s, images, type, y);
  }
  void letterbox(KernelStream s, std::span<const LetterboxImage> images, const Map& y) const override {
    ns::letterbox(s, images, y);
  }
  void decode(KernelStream s, const DecodeHead& head, int images, float* predictions) const override {
    ns::decode(s, head, images, predictions);
  }
  size_t nms_workspace(const NmsArgs& args) const override { return ::mtyolo::nms_workspace(args); }
  void nms(KernelStream s, const NmsArgs& args) const override { ns::nms(s, args); }

  const TrainingKernels* training() const override { return &kTraining; }
};

}  // namespace

std::unique_ptr<DeviceKernels> make_device_kernels() { return std::make_unique<Kernels>(); }

}  // namespace mtyolo::MTYOLO_KERNEL_NS

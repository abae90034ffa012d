// The kernels of inference behind one interface, so that a plan need not know for which device they were
// compiled. The contracts are those of cuda/{conv,map_ops,image,detect}.h, where all but the interface lives.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/device/conv.h"
#include "ops/device/conv_provider.h"
#include "ops/device/detect.h"
#include "ops/device/image.h"
#include "ops/device/session.h"

namespace mtyolo {

struct TrainingKernels;

class DeviceKernels {
 public:
  using Map = KernelMap;
  virtual ~DeviceKernels() = default;
  virtual std::string prefix() const = 0;  // of names of implementations: "cuda", "simt"

  virtual std::vector<ConvConfig> conv_configs(const ConvArgs& args, int multiprocessors,
                                               size_t shared_bytes) const = 0;
  virtual const char* conv_refuses(const ConvArgs& args) const = 0;
  virtual size_t conv_workspace(const ConvArgs& args) const = 0;
  virtual void conv(KernelStream stream, const ConvArgs& args) const = 0;
  virtual void conv_hopper(KernelStream stream, const ConvArgs& args, int multiprocessors) const = 0;

  virtual void activate(KernelStream stream, KernelActivation act, const Map& x, const Map& y) const = 0;
  virtual void add(KernelStream stream, const Map& a, const Map& b, const Map& y) const = 0;
  virtual void copy_map(KernelStream stream, const Map& x, const Map& y) const = 0;
  virtual void upsample(KernelStream stream, const Map& x, int scale, const Map& y) const = 0;
  virtual void max_pool(KernelStream stream, const Map& x, int k, int stride, int pad,
                        const Map& y) const = 0;
  virtual void space_to_depth(KernelStream stream, const Map& x, const Map& y) const = 0;
  virtual void cross_stitch(KernelStream stream, std::span<const Map> x, const float* weight,
                            const Map& y) const = 0;

  virtual void normalise(KernelStream stream, const void* images, KernelType type, const Map& y) const = 0;
  virtual void letterbox(KernelStream stream, std::span<const LetterboxImage> images, const Map& y) const = 0;
  virtual void decode(KernelStream stream, const DecodeHead& head, int images, float* predictions) const = 0;
  virtual size_t nms_workspace(const NmsArgs& args) const = 0;
  virtual void nms(KernelStream stream, const NmsArgs& args) const = 0;

  virtual const TrainingKernels* training() const { return nullptr; }  // null: inference only
};

// A device with its kernels; none for the CPU.
struct DeviceBackend {
  std::shared_ptr<DeviceSession> session;
  std::shared_ptr<const DeviceKernels> kernels;
  std::shared_ptr<ConvChooser> convs{};  // null: `kernels`, each convolution by its first configuration
  explicit operator bool() const { return session != nullptr; }
};

}  // namespace mtyolo

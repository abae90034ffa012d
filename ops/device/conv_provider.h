// Implementations of a convolution and its gradients on a device behind one interface: our kernels, cuDNN,
// cuBLASLt.
// `--impl conv2d=NAME` forces one; otherwise the tuner of cuda/autotune.h chooses.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/device/conv.h"
#include "ops/device/stream.h"

namespace mtyolo {

// One convolution made ready: its shapes and pointers are fixed. It must not outlive its provider.
class ConvPlan {
 public:
  virtual ~ConvPlan() = default;
  virtual size_t workspace_bytes() const { return 0; }
  // Queues it; may be recorded. The workspace is aligned to 256 bytes and not used by other work that runs
  // meanwhile. Zero before the first run of this plan if clean_workspace(), and then left so.
  virtual void run(KernelStream stream, void* workspace) = 0;
  virtual bool clean_workspace() const { return false; }
};

// Of Args: ConvArgs, ConvDgradArgs, ConvWgradArgs.
template <class Args>
class ConvProviderOf {
 public:
  virtual ~ConvProviderOf() = default;
  virtual std::string name() const = 0;     // "cuda.igemm", "cudnn.graph", "cublas.lt"
  virtual std::string version() const = 0;  // of the library or the kernels, a part of the tuner's key
  // Why it cannot compute this, or null. `config` and `workspace` of the arguments are not looked at.
  virtual const char* refuses(const Args& args) const = 0;
  // The ways to compute it, the best guess first, as words without blanks; none when the library has none.
  virtual std::vector<std::string> choices(const Args& args) = 0;
  // Throws Error for a choice that is none of choices().
  virtual std::unique_ptr<ConvPlan> plan(const Args& args, const std::string& choice) = 0;
};
using ConvProvider = ConvProviderOf<ConvArgs>;

// Decides how each convolution of a network is computed.
struct ChosenConv {
  std::string name;   // "cudnn.graph engine3"
  size_t others = 0;  // ways to compute it besides
  std::unique_ptr<ConvPlan> plan;
};
class ConvChooser {
 public:
  virtual ~ConvChooser() = default;
  // Throws Error{"no_implementation"} with each provider's reason. Plans must not outlive the chooser.
  virtual ChosenConv choose(const ConvArgs& args) = 0;
};

}  // namespace mtyolo

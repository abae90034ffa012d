#include "cuda/conv_tuning.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "core/dtype.h"
#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "core/storage.h"
#include "core/text.h"
#include "cuda/conv_cublas.h"
#include "cuda/conv_cudnn.h"
#include "cuda/conv_hopper.h"
#include "ops/device/training_kernels.h"

namespace mtyolo {
namespace {

// To be raised when a kernel changes so that old times mean nothing.
constexpr char kKernelSet[] = "1";

std::string text_of(const ConvConfig& c) { return fmt::format("{}x{}x{}/{}", c.m, c.n, c.stages, c.splits); }

// One of our kernels: what to ask and what to call.
template <class Args>
struct OwnKernel {
  std::string name;
  std::function<const char*(const Args&)> refuses;
  std::function<std::vector<ConvConfig>(const Args&)> configs;
  std::function<size_t(const Args&)> workspace;
  std::function<void(KernelStream, const Args&)> run;
};

template <class Args>
class OwnPlan : public ConvPlan {
 public:
  OwnPlan(const OwnKernel<Args>& kernel, const Args& args)
      : run_(kernel.run), args_(args), bytes_(kernel.workspace(args)) {}
  size_t workspace_bytes() const override { return bytes_; }
  bool clean_workspace() const override { return std::is_same_v<Args, ConvArgs>; }
  void run(KernelStream stream, void* workspace) override {
    if constexpr (requires { args_.workspace; }) args_.workspace = workspace, args_.workspace_bytes = bytes_;
    run_(stream, args_);
  }

 private:
  std::function<void(KernelStream, const Args&)> run_;
  Args args_;
  size_t bytes_;
};

template <class Args>
class OwnConv : public ConvProviderOf<Args> {
 public:
  explicit OwnConv(OwnKernel<Args> kernel) : kernel_(std::move(kernel)) {}
  std::string name() const override { return kernel_.name; }
  std::string version() const override { return kKernelSet; }
  const char* refuses(const Args& args) const override { return kernel_.refuses(args); }
  std::vector<std::string> choices(const Args& args) override {
    std::vector<std::string> names;
    for (const ConvConfig& c : kernel_.configs(args)) names.push_back(text_of(c));
    return names;
  }
  std::unique_ptr<ConvPlan> plan(const Args& args, const std::string& choice) override {
    for (const ConvConfig& c : kernel_.configs(args)) {
      if (text_of(c) != choice) continue;
      Args chosen = args;
      chosen.config = c;
      return std::make_unique<OwnPlan<Args>>(kernel_, chosen);
    }
    fail(ExitCode::kRuntime, "no_implementation", "{} has no configuration {} for this convolution", name(),
         quoted(choice));
  }

 private:
  OwnKernel<Args> kernel_;
};

constexpr const char* kTypeWords[] = {"f32", "f16", "bf16", "s8", "u8"};
constexpr const char* kMathWords[] = {"f32", "tf32", "f16", "bf16", "s8"};
constexpr const char* kActivationWords[] = {"none", "silu", "leaky", "sigmoid", "relu"};

// Twice what tests allow a kernel to be away from the sum in double precision.
double tolerance(KernelMath math) {
  constexpr double kTolerances[] = {1e-4, 2e-3, 4e-3, 3e-2, 1e-6};
  return kTolerances[size_t(math)];
}

// A value as an element of this type.
void store(KernelType type, float value, void* to) {
  const auto put = [&](auto v) { std::memcpy(to, &v, sizeof v); };
  if (type == KernelType::kF32) put(value);
  else if (type == KernelType::kF16) put(Half(value));
  else if (type == KernelType::kBF16) put(BFloat16(value));
  else put(int8_t(value * 127));
}
float load(KernelType type, const void* from) {
  const auto get = [&](auto v) {
    std::memcpy(static_cast<void*>(&v), from, sizeof v);
    return float(to_double(v));
  };
  if (type == KernelType::kF32) return get(float{});
  if (type == KernelType::kF16) return get(Half{});
  if (type == KernelType::kBF16) return get(BFloat16{});
  return get(int8_t{});
}

size_t bytes_of_map(const KernelMap& m) {
  return size_t(m.pixels()) * size_t(m.pixel_stride) * size_t(bytes_of(m.type));
}

// The arguments of a convolution with arrays of their own: random values, the alignment of the originals.
class TestArrays {
 public:
  TestArrays(DeviceSession& session, const ConvArgs& args) : session_(session), args_(args) {
    const KernelType type = type_of(args.math);
    args_.x.data = filled(args.x.data, bytes_of_map(args.x), type, 1);
    const size_t weights = size_t(args.y.c) * size_t(args.weight_stride);
    args_.weight =
        filled(args.weight, weights * size_t(bytes_of(type)), type, 0.1f, size_t(args.weight_stride),
               size_t(args.kernel * args.kernel * (args.x.c / args.groups)));
    const auto channels = [&](const float* p) {
      const size_t bytes = size_t(args.y.c) * sizeof(float);
      return p == nullptr ? nullptr : static_cast<const float*>(filled(p, bytes, KernelType::kF32, 1));
    };
    args_.epilogue.scale = channels(args.epilogue.scale);
    args_.epilogue.bias = channels(args.epilogue.bias);
    if (args.residual)
      args_.residual.data = filled(args.residual.data, bytes_of_map(args.residual), args.residual.type, 1);
    args_.y.data = array(args.y.data, bytes_of_map(args.y));
    if (args.second) args_.second.data = array(args.second.data, bytes_of_map(args.second));
  }
  const ConvArgs& args() const { return args_; }
  std::vector<float> result() {
    const KernelMap& y = args_.y;
    std::vector<char> bytes(bytes_of_map(y) - size_t(y.pixel_stride - y.c) * size_t(bytes_of(y.type)));
    session_.download(bytes.data(), y.data, bytes.size());
    session_.synchronize();
    std::vector<float> values;
    for (int64_t i = 0; i < y.pixels(); ++i)
      for (int c = 0; c < y.c; ++c)
        values.push_back(load(y.type, bytes.data() + (i * y.pixel_stride + c) * bytes_of(y.type)));
    return values;
  }
  // Of a plan, zero where it asks for that.
  void* workspace(const ConvPlan& plan) {
    if (plan.workspace_bytes() == 0) return nullptr;
    void* p = array(nullptr, plan.workspace_bytes());
    const std::vector<char> zeros(plan.workspace_bytes());
    if (plan.clean_workspace()) session_.upload(p, zeros.data(), zeros.size());
    return p;
  }

 private:
  void* array(const void* original, size_t bytes) {
    constexpr size_t kAlignment = 256;
    storage_.push_back(Storage::allocate(session_.allocator(), bytes + 2 * kAlignment));
    const auto address = reinterpret_cast<uintptr_t>(storage_.back()->data());
    const uintptr_t wanted = reinterpret_cast<uintptr_t>(original) % kAlignment;
    return reinterpret_cast<void*>((address + kAlignment - 1) / kAlignment * kAlignment + wanted);
  }
  // In rows of so many elements, of which those used are not zero.
  void* filled(const void* original, size_t bytes, KernelType type, float scale, size_t row = 1,
               size_t used = 1) {
    RandomStream random(storage_.size(), 0x74756e65, 0);
    std::vector<char> values(bytes);
    const size_t step = size_t(bytes_of(type));
    for (size_t i = 0; (i + 1) * step <= bytes; ++i)
      if (i % row < used)
        store(type, scale * (float(random.below(257)) - 128) / 128, values.data() + i * step);
    void* p = array(original, bytes);
    session_.upload(p, values.data(), bytes);
    return p;
  }

  DeviceSession& session_;
  ConvArgs args_;
  std::vector<std::shared_ptr<Storage>> storage_;
};

class Chooser : public ConvChooser {
 public:
  Chooser(std::shared_ptr<DeviceSession> session, ConvProviders providers, std::string forced,
          Autotuner tuner)
      : session_(std::move(session)),
        providers_(std::move(providers)),
        forced_(std::move(forced)),
        tuner_(std::move(tuner)) {}
  ChosenConv choose(const ConvArgs& args) override {
    const char* reason = nullptr;
    for (const auto& provider : providers_)
      if (provider->name() == forced_) reason = provider->refuses(args);
    if (reason != nullptr && warned_.insert(reason).second)
      log::warning("--impl conv2d={}: some convolutions are left to others: {}", forced_, reason);
    ChosenConv chosen = tune_conv(*session_, providers_, args, reason == nullptr ? forced_ : "", tuner_);
    tuner_.save();
    return chosen;
  }

 private:
  std::shared_ptr<DeviceSession> session_;
  ConvProviders providers_;
  std::string forced_;
  Autotuner tuner_;
  std::set<std::string> warned_;
};

// Ours, and cuDNN.
template <class Args>
ConvProvidersOf<Args> grad_providers(const DeviceBackend& backend, const char* name,
                                     const char* (*refuses)(const Args&),
                                     std::vector<ConvConfig> (*configs)(const Args&, int, size_t),
                                     size_t (*workspace)(const Args&), void (*run)(KernelStream, const Args&),
                                     const CudnnOptions& cudnn) {
  ConvProvidersOf<Args> providers;
  const auto configs_here = [configs, device = backend.session->info()](const Args& args) {
    return configs(args, device.multiprocessors, device.shared_bytes_per_block);
  };
  providers.push_back(std::make_unique<OwnConv<Args>>(
      OwnKernel<Args>{backend.kernels->prefix() + name, refuses, configs_here, workspace, run}));
  std::string why;
  if (backend.session->device().kind != DeviceKind::kCuda) return providers;
  if (auto library = make_cudnn_conv<Args>(cudnn, &why)) providers.push_back(std::move(library));
  return providers;
}

struct Candidate {
  ConvProvider* provider;
  std::string choice;
};

}  // namespace

std::unique_ptr<ConvProvider> make_igemm_conv(std::shared_ptr<const DeviceKernels> kernels,
                                              const DeviceInfo& device) {
  return std::make_unique<OwnConv<ConvArgs>>(OwnKernel<ConvArgs>{
      kernels->prefix() + ".igemm", [kernels](const ConvArgs& args) { return kernels->conv_refuses(args); },
      [kernels, processors = device.multiprocessors, shared = device.shared_bytes_per_block](
          const ConvArgs& args) { return kernels->conv_configs(args, processors, shared); },
      [kernels](const ConvArgs& args) { return kernels->conv_workspace(args); },
      [kernels](KernelStream stream, const ConvArgs& args) { kernels->conv(stream, args); }});
}

std::unique_ptr<ConvProvider> make_hopper_conv(std::shared_ptr<const DeviceKernels> kernels,
                                               const DeviceInfo& device) {
  const bool fits = device.major == 9 && device.minor == 0;
  return std::make_unique<OwnConv<ConvArgs>>(OwnKernel<ConvArgs>{
      kernels->prefix() + ".wgmma",
      [fits](const ConvArgs& args) {
        return fits ? conv_hopper_refuses(args) : "needs compute capability 9.0";
      },
      [processors = device.multiprocessors](const ConvArgs& args) {
        return conv_hopper_configs(args, processors);
      },
      [](const ConvArgs&) { return size_t{0}; },
      [kernels, processors = device.multiprocessors](KernelStream stream, const ConvArgs& args) {
        kernels->conv_hopper(stream, args, processors);
      }});
}

ConvProviders conv_providers(const DeviceBackend& backend, std::vector<std::string>* absent) {
  ConvProviders providers;
  providers.push_back(make_igemm_conv(backend.kernels, backend.session->info()));
  providers.push_back(make_hopper_conv(backend.kernels, backend.session->info()));
  if (backend.session->device().kind != DeviceKind::kCuda) return providers;
  std::string why;
  const auto add = [&](std::unique_ptr<ConvProvider> provider) {
    if (provider != nullptr) providers.push_back(std::move(provider));
    else if (absent != nullptr) absent->push_back(why);
  };
  add(make_cudnn_conv({}, &why));
  add(make_cublas_conv(backend.kernels, &why));
  return providers;
}

ConvProvidersOf<ConvDgradArgs> dgrad_providers(const DeviceBackend& backend) {
  const TrainingKernels& k = *backend.kernels->training();
  return grad_providers<ConvDgradArgs>(backend, ".dgrad", k.conv_dgrad_refuses, k.conv_dgrad_configs,
                                       [](const ConvDgradArgs&) { return size_t{0}; }, k.conv_dgrad, {});
}

ConvProvidersOf<ConvWgradArgs> wgrad_providers(const DeviceBackend& backend, const CudnnOptions& cudnn) {
  const TrainingKernels& k = *backend.kernels->training();
  return grad_providers<ConvWgradArgs>(backend, ".wgrad", k.conv_wgrad_refuses, k.conv_wgrad_configs,
                                       k.conv_wgrad_workspace, k.conv_wgrad, cudnn);
}

std::string conv_key(const ConvArgs& args, const DeviceInfo& device, const ConvProviders& providers) {
  const KernelMap &x = args.x, &y = args.y;
  std::string key = fmt::format(
      "conv2d {} {}x{}x{}x{}/{} {} {}x{} s{} p{} g{} {}/{} {}{}{}", kMathWords[size_t(args.math)], x.n, x.h,
      x.w, x.c, x.pixel_stride, y.c, args.kernel, args.kernel, args.stride, args.pad, args.groups,
      kTypeWords[size_t(y.type)], y.pixel_stride, kActivationWords[size_t(args.epilogue.activation)],
      args.epilogue.bias != nullptr ? " bias" : "", args.epilogue.scale != nullptr ? " scale" : "");
  if (args.residual) key += fmt::format(" residual/{}", args.residual.pixel_stride);
  if (args.second)
    key += fmt::format(" second/{}{}", args.second.pixel_stride, args.upsample_second ? " upsampled" : "");
  if (args.moments != nullptr) key += " moments";
  key += fmt::format(" | {} {}", device.name, device.multiprocessors);
  for (const auto& provider : providers)
    key += fmt::format(" | {} {}", provider->name(), provider->version());
  return key;
}

ChosenConv tune_conv(DeviceSession& session, const ConvProviders& providers, const ConvArgs& args,
                     const std::string& forced, Autotuner& tuner) {
  std::map<std::string, Candidate> candidates;
  TuneCandidates tune;
  std::string reasons;
  for (const auto& provider : providers) {
    if (!forced.empty() && provider->name() != forced) continue;
    const char* reason = provider->refuses(args);
    const auto choices = reason == nullptr ? provider->choices(args) : std::vector<std::string>{};
    if (choices.empty())
      reasons += fmt::format("\n  {}: {}", provider->name(),
                             reason == nullptr ? "has no way to compute it" : reason);
    for (const std::string& choice : choices) {
      tune.names.push_back(provider->name() + " " + choice);
      candidates[tune.names.back()] = {provider.get(), choice};
    }
  }
  if (tune.names.empty())
    fail(ExitCode::kRuntime, "no_implementation", "conv2d: no implementation takes this{}", reasons);
  if (args.moments != nullptr) tune.names.resize(1);  // they have no array of their own to be written to
  std::unique_ptr<TestArrays> arrays;
  tune.tolerance = tolerance(args.math);
  tune.prepare = [&](const std::string& name) {
    if (arrays == nullptr) arrays = std::make_unique<TestArrays>(session, args);
    const Candidate& c = candidates.at(name);
    const std::shared_ptr<ConvPlan> plan = c.provider->plan(arrays->args(), c.choice);
    return [&session, plan, workspace = arrays->workspace(*plan)] { plan->run(session.stream(), workspace); };
  };
  tune.result = [&] { return arrays->result(); };
  const std::string key =
      conv_key(args, session.info(), providers) + (forced.empty() ? "" : " | forced " + forced);
  const std::string name = tuner.choose(session, key, tune);
  const Candidate& chosen = candidates.at(name);
  return {name, candidates.size() - 1, chosen.provider->plan(args, chosen.choice)};
}

std::shared_ptr<ConvChooser> make_conv_chooser(const DeviceBackend& backend, const std::string& forced,
                                               TuneMode mode, const std::string& path) {
  std::vector<std::string> absent, names;
  ConvProviders providers = conv_providers(backend, &absent);
  for (const auto& provider : providers) names.push_back(provider->name());
  if (!forced.empty() && std::find(names.begin(), names.end(), forced) == names.end())
    fail(ExitCode::kUsage, "usage", "--impl conv2d={}: on {} conv2d has the implementations {}{}{}{}", forced,
         to_string(backend.session->device()), fmt::join(names, ", "), did_you_mean(forced, names),
         absent.empty() ? "" : "; ", fmt::join(absent, "; "));
  for (const std::string& why : absent) log::debug("{}", why);
  return std::make_shared<Chooser>(backend.session, std::move(providers), forced, Autotuner(mode, path));
}

}  // namespace mtyolo

#include "cli/backend.h"

#include <algorithm>
#include <cstdlib>

#include "cli/machine.h"
#include "core/log.h"
#include "core/text.h"
#include "cuda/conv_tuning.h"
#include "cuda/cuda_device.h"
#include "cuda/kernels.h"
#include "cuda/session_cuda.h"
#include "cuda/session_simt.h"

namespace mtyolo::cli {
namespace {

constexpr const char* kOnCpu = "leave --device out or give cpu";

[[noreturn]] void refuse(const std::string& device, const std::string& why) {
  throw Error({ExitCode::kUsage,
               "device",
               fmt::format("--device {}: {}", mtyolo::quoted(device), why),
               {},
               {},
               kOnCpu});
}

DeviceBackend open_gpu([[maybe_unused]] int index) {
#ifdef MTYOLO_WITH_CUDA
  return {open_cuda_session(index), cuda::make_device_kernels()};
#else
  refuse(std::to_string(index), cuda_absence());
#endif
}

// The first GPU, where there is one that works; a GPU that cannot be used is worth a line.
DeviceBackend open_default(const CommonOptions& common) {
  if (cuda_archs().empty() || !common.impl.empty()) return {};
  const std::string absence = cuda_absence();
  if (absence.empty()) return open_gpu(0);
  if (!installed_gpus().empty()) log::warning("the CPU is used: {}", absence);
  return {};
}

// --impl conv2d=NAME, and the tuner: MTYOLO_AUTOTUNE off (unless given), cache-only, on, with the file
// MTYOLO_AUTOTUNE_CACHE. None: our kernels without measuring.
std::shared_ptr<ConvChooser> open_convs(const DeviceBackend& backend, const CommonOptions& common) {
  const auto variable = [](const char* name, std::string otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr || *value == 0 ? otherwise : std::string(value);
  };
  std::string forced;
  for (const std::string& choice : common.impl) {
    if (!choice.starts_with("conv2d="))
      fail(ExitCode::kUsage, "usage", "--impl {}: on a device conv2d alone has several implementations",
           mtyolo::quoted(choice));
    forced = choice.substr(std::string_view("conv2d=").size());
  }
  const TuneMode mode = parse_tune_mode(variable("MTYOLO_AUTOTUNE", "off"));
  if (forced.empty() && mode == TuneMode::kOff) return nullptr;
  const std::string cache = variable("MTYOLO_AUTOTUNE_CACHE", "mtyolo-autotune.txt");
  return make_conv_chooser(backend, forced, mode, mode == TuneMode::kOff ? "" : cache);
}

}  // namespace

void refuse_device(const std::string& device, const std::string& who) {
  if (!device.empty() && device != "cpu") refuse(device, fmt::format("{} runs on the CPU only", who));
}

DeviceBackend open_backend(const CommonOptions& common) {
  const std::string& device = common.device;
  if (device == "cpu") return {};
  if (device.empty()) return open_default(common);
  if (device == "simt") return {open_simt_session(), simt::make_device_kernels()};
  const bool numbers = device.find_first_not_of("0123456789,") == std::string::npos;
  if (!numbers) refuse(device, "expected cpu, the number of a GPU, or simt (emulated, for tests)");
  const std::string absence = cuda_absence();
  if (!absence.empty()) refuse(device, absence);
  const auto index = parse_int(device);
  if (!index || *index > 1024) refuse(device, "inference runs on one GPU");
  return open_gpu(int(*index));
}

void add_dtype(Options& options, std::string& dtype) {
  options.choice("dtype", dtype, {"fp32", "tf32", "fp16", "bf16"},
                 "what is multiplied; the CPU computes in fp32 or bf16");
}

KernelMath math_of(const std::string& dtype) {
  return dtype == "tf32"   ? KernelMath::kTF32
         : dtype == "fp16" ? KernelMath::kF16
         : dtype == "bf16" ? KernelMath::kBF16
                           : KernelMath::kF32;
}

ops::Impls make_inference_impls(const CommonOptions& common) {
  ops::Impls impls = make_impls(common);
  if (common.low_memory && impls.forced("conv2d").empty()) impls.force("conv2d=cpu.igemm");
  return impls;
}

ops::blocked::Element cpu_element(const std::string& dtype) {
  if (dtype == "bf16") return ops::blocked::Element::kBF16;
  if (dtype == "fp32") return ops::blocked::Element::kF32;
  throw Error({ExitCode::kUsage,
               "dtype",
               fmt::format("--dtype {}: inference on the CPU computes in fp32 or bf16", dtype),
               {},
               {},
               "leave --dtype out, give bf16, or give the --device of a GPU"});
}

std::unique_ptr<models::Detector> make_detector(Context& ctx, const models::Graph& graph,
                                                const models::StateDict& weights, const CommonOptions& common,
                                                const std::string& dtype, const models::PackedPlace& place) {
  DeviceBackend backend = open_backend(common);
  if (backend) {
    backend.convs = open_convs(backend, common);
    return std::make_unique<models::Detector>(ctx, graph, weights, std::move(backend), math_of(dtype));
  }
  return std::make_unique<models::Detector>(ctx, graph, weights, make_inference_impls(common),
                                            models::PlanOptions{}, cpu_element(dtype), place);
}

CacheFolder cache_folder() {
  if (const char* folder = std::getenv("MTYOLO_CACHE")) return CacheFolder(folder);
  for (const auto& [name, below] : {std::pair{"XDG_CACHE_HOME", "/mtyolo"}, {"HOME", "/.cache/mtyolo"}})
    if (const char* folder = std::getenv(name); folder != nullptr && *folder == '/')
      return CacheFolder(std::string(folder) + below);
  return {};
}

models::PackedPlace packed_place(const models::Model& model) {
  constexpr int64_t kManyParameters = 16'000'000;
  if (model.graph.parameter_count() < kManyParameters) return {};
  return {cache_folder(), model.mapped};
}

}  // namespace mtyolo::cli

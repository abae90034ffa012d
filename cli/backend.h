// Where a model runs and in what numbers: --device and --dtype. The one place that knows whether this build
// has CUDA.
#pragma once

#include <memory>

#include "cli/common.h"
#include "models/model.h"
#include "models/plan/detector.h"

namespace mtyolo::cli {

// --device as verbs that infer take it: cpu, simt (the emulated device), the number of a GPU, or nothing: the
// first GPU where there is one, else the CPU. Throws Error{kUsage, "device"} for anything else, several GPUs
// among them, and where the device is not there. None: the CPU.
DeviceBackend open_backend(const CommonOptions& common);
// Throws Error{kUsage, "device"} with the reason when --device names anything but the CPU.
void refuse_device(const std::string& device, const std::string& who);

// make_impls for a plan. --low-memory takes the direct convolution, unless another is forced: Winograd's form
// holds its weights transformed, which are larger.
ops::Impls make_inference_impls(const CommonOptions& common);

// Registers --dtype.
void add_dtype(Options& options, std::string& dtype);
// The network of a verb that infers. The CPU computes in fp32 or bf16: another type without a device is
// refused. `place`: as Network::build's.
std::unique_ptr<models::Detector> make_detector(Context& ctx, const models::Graph& graph,
                                                const models::StateDict& weights, const CommonOptions& common,
                                                const std::string& dtype,
                                                const models::PackedPlace& place = {});
// What starts leave for later ones: in MTYOLO_CACHE (empty: nowhere), else in mtyolo in XDG_CACHE_HOME or in
// ~/.cache. Packed weights there, but none of a small network, which is packed in no time.
CacheFolder cache_folder();
models::PackedPlace packed_place(const models::Model& model);
KernelMath math_of(const std::string& dtype);                 // fp32, tf32, fp16, bf16
ops::blocked::Element cpu_element(const std::string& dtype);  // throws Error for any but fp32 and bf16

}  // namespace mtyolo::cli

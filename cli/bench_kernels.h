// bench kernels: every op on the layers of real networks, beside what the machine could do.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_workload.h"
#include "cli/common.h"
#include "cli/output.h"
#include "core/error.h"
#include "ops/device/kernels.h"

namespace mtyolo::cli {

struct KernelsParams {
  std::vector<std::string> shapes;  // "yolov7-640"; none: the three networks
  std::vector<std::string> filter;  // only names that have one of these
  int batch = 1, reps = 3;
  double min_time = 0.05;  // seconds for each
  std::string dtype = "fp32";
  std::string out, against, write;  // JSON document, an earlier one, page whose marked part is replaced
  double fail_over = 0.10;
};

// Exit kRuntime when an op is slower than `against` by more than `fail_over`. Throws Error.
ExitCode bench_kernels(const CommonOptions& common, const KernelsParams& params);

// A case made ready: runs once and tells milliseconds.
struct KernelRun {
  std::string impl{};
  std::function<double()> ms{};
  std::vector<KernelRun> libraries{};  // the same by libraries of the device
  double bytes = 0;                    // that move, where they are not those of the case in its type
};

// What this machine reaches with these threads, measured.
struct Ceilings {
  double gflops = 0;  // of a loop of multiply-adds; on a device of the best of its large matrix products
  double gbps = 0;    // bytes read and written by a large copy
};

class KernelRunner {
 public:
  virtual ~KernelRunner() = default;
  virtual std::optional<KernelRun> prepare(const KernelCase& c) = 0;  // none: no such op here
  virtual Ceilings ceilings() = 0;
};
// Milliseconds of a fixed number of multiply-adds in registers, shared by the threads as a layer's tasks are.
double multiply_adds_ms(Context& ctx);
std::unique_ptr<KernelRunner> cpu_kernel_runner(Context& ctx, DType type);  // f32 or bf16
std::unique_ptr<KernelRunner> device_kernel_runner(DeviceBackend backend, KernelMath math);

// A Markdown table of a document: a row for each op of each network.
std::string kernels_markdown(const Json& document);

}  // namespace mtyolo::cli

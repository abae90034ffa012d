#include "cuda/check.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

#include "core/error.h"

namespace mtyolo {

void check_argument(bool holds, const char* text) { MTYOLO_CHECK(holds, "{}", text); }

void launch_failed(int error, const char* name, const char* text, const LaunchText& launch) {
  const Dim3 &grid = launch.grid, &block = launch.block;
  throw Error({ExitCode::kRuntime,
               "cuda_launch",
               fmt::format("{} ({}) at the launch of {}x{}x{} blocks of {}x{}x{} threads with {} bytes", name,
                           text, grid.x, grid.y, grid.z, block.x, block.y, block.z, launch.shared_bytes),
               {},
               fmt::format("{}:{}", project_path(launch.file), launch.line),
               cuda_advice(error)});
}

const char* cuda_advice(int error) {
  const auto is = [&](std::initializer_list<int> errors) {
    return std::find(errors.begin(), errors.end(), error) != errors.end();
  };
  // Unavailable, no device, start failed, uncorrectable memory, link, contained, unknown.
  if (is({46, 100, 127, 214, 220, 226, 999}))
    return "the GPU failed or was taken away: see nvidia-smi and dmesg";
  // No function, image or kernel for this device; PTX too new.
  if (is({98, 200, 209, 222}))
    return "this program has no kernel for this GPU: configure with -DMTYOLO_CUDA_ARCHS";
  // Illegal address, timeout, assert, and what else a kernel does wrong.
  if (is({700, 702, 710, 714, 715, 716, 717, 718, 719}) && !synchronize_launches())
    return "with MTYOLO_CUDA_SYNC=1 the error names the kernel that caused it";
  if (is({900, 901})) return "what is recorded must neither allocate, wait, nor transfer";
  return "";
}

bool synchronize_launches() {
  static const bool wanted = [] {
    const char* value = std::getenv("MTYOLO_CUDA_SYNC");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return wanted;
}

const char* project_path(const char* file) {
  const size_t folder = std::string_view(file).rfind("cuda/");
  return folder == std::string_view::npos ? file : file + folder;
}

}  // namespace mtyolo

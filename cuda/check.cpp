#include "cuda/check.h"

#include <cstdlib>
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
  switch (error) {
    case 46:   // cudaErrorDevicesUnavailable
    case 100:  // cudaErrorNoDevice
    case 127:  // cudaErrorStartupFailure
    case 214:  // cudaErrorECCUncorrectable
    case 220:  // cudaErrorNvlinkUncorrectable
    case 226:  // cudaErrorContained
    case 999:  // cudaErrorUnknown
      return "the GPU failed or was taken away: see nvidia-smi and dmesg";
    case 98:   // cudaErrorInvalidDeviceFunction
    case 200:  // cudaErrorInvalidKernelImage
    case 209:  // cudaErrorNoKernelImageForDevice
    case 222:  // cudaErrorUnsupportedPtxVersion
      return "this program has no kernel for this GPU: configure with -DMTYOLO_CUDA_ARCHS";
    case 700:  // cudaErrorIllegalAddress
    case 702:  // cudaErrorLaunchTimeout
    case 710:  // cudaErrorAssert
    case 714:  // cudaErrorHardwareStackError
    case 715:  // cudaErrorIllegalInstruction
    case 716:  // cudaErrorMisalignedAddress
    case 717:  // cudaErrorInvalidAddressSpace
    case 718:  // cudaErrorInvalidPc
    case 719:  // cudaErrorLaunchFailure
      return synchronize_launches() ? ""
                                    : "with MTYOLO_CUDA_SYNC=1 the error names the kernel that caused it";
    case 900:  // cudaErrorStreamCaptureUnsupported
    case 901:  // cudaErrorStreamCaptureInvalidated
      return "what is recorded must neither allocate, wait, nor transfer";
    default:
      return "";
  }
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

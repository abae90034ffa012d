// launch(kernel, {grid, block, shared_bytes}, stream, args...): the only way a kernel starts, in either
// build. Arguments are converted to the kernel's parameters and copied. Included by .cu files.
#pragma once

#include <tuple>
#include <utility>

#include "cuda/device/config.cuh"
#ifdef MTYOLO_SIMT
#include "cuda/simt/stream.h"
#else
#include <cuda_runtime.h>

#include "cuda/check.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

#ifdef MTYOLO_SIMT
using LaunchSite = Site;
#else
// On the host nvcc's Site is empty too, since kernels share it.
struct LaunchSite {
  const char* file = "";
  int line = 0;
  static LaunchSite here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};
#endif

struct LaunchDims {
  Dim3 grid, block;
  size_t shared_bytes = 0;  // dynamic, at most 227 KiB
  LaunchSite site = LaunchSite::here();
};

#ifdef MTYOLO_SIMT

template <class... Params, class... Args>
void launch(void (*kernel)(Params...), const LaunchDims& dims, KernelStream stream, Args&&... args) {
  const std::tuple<std::decay_t<Params>...> copies(std::forward<Args>(args)...);
  emulator::stream_of(stream).enqueue([kernel, dims, copies] {
    emulator::run_grid(
        {dims.grid, dims.block, dims.shared_bytes, dims.site, [&] { std::apply(kernel, copies); }});
  });
}

#else

template <class... Params, class... Args>
void launch(void (*kernel)(Params...), const LaunchDims& dims, KernelStream stream, Args&&... args) {
  cudaError_t error = cudaSuccess;
  if (dims.shared_bytes > (48 << 10))
    error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, int(dims.shared_bytes));
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(dims.grid.x, dims.grid.y, dims.grid.z);
  config.blockDim = dim3(dims.block.x, dims.block.y, dims.block.z);
  config.dynamicSmemBytes = dims.shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream.handle);
  if (error == cudaSuccess) error = cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
  cudaStreamCaptureStatus recording = cudaStreamCaptureStatusNone;
  if (error == cudaSuccess && synchronize_launches() &&
      cudaStreamIsCapturing(config.stream, &recording) == cudaSuccess &&
      recording == cudaStreamCaptureStatusNone)
    error = cudaStreamSynchronize(config.stream);
  if (error == cudaSuccess) return;
  cudaGetLastError();
  launch_failed(int(error), cudaGetErrorName(error), cudaGetErrorString(error),
                {dims.site.file, dims.site.line, dims.grid, dims.block, dims.shared_bytes});
}

#endif

}  // namespace mtyolo::MTYOLO_KERNEL_NS

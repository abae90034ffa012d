// Errors of host code beside kernels, without headers that nvcc would have to read.
#pragma once

#include <cstddef>

#include "cuda/dims.h"

namespace mtyolo {

// Throws Error{kRuntime, "check"} with this text when `holds` is false.
void check_argument(bool holds, const char* text);

struct LaunchText {
  const char* file;
  int line;
  Dim3 grid, block;
  size_t shared_bytes;
};

// Throws Error{kRuntime, "cuda_launch"}: the error's number (a cudaError_t), name and text, the place of the
// launch, what was to be launched, what to do.
[[noreturn]] void launch_failed(int error, const char* name, const char* text, const LaunchText& launch);

// What to do about a cudaError_t, "" when that is not known.
const char* cuda_advice(int error);

// MTYOLO_CUDA_SYNC=1: the host waits after each launch, so that an error names its kernel.
bool synchronize_launches();

// A source file's path in the project, "cuda/gemm.cu".
const char* project_path(const char* file);

}  // namespace mtyolo

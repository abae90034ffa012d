// Errors of host code beside kernels, without headers that nvcc would have to read.
#pragma once

#include <cstddef>

#include "cuda/dims.h"

namespace mtyolo {

// Throws Error{kRuntime, "check"} with this text when `holds` is false.
void check_argument(bool holds, const char* text);

// Throws Error{kRuntime, "cuda_launch"}: the error's name and text, and what was to be launched.
[[noreturn]] void launch_failed(const char* error, const char* text, const Dim3& grid, const Dim3& block,
                                size_t shared_bytes);

}  // namespace mtyolo

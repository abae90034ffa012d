#include "cuda/check.h"

#include "core/error.h"

namespace mtyolo {

void check_argument(bool holds, const char* text) { MTYOLO_CHECK(holds, "{}", text); }

void launch_failed(const char* error, const char* text, const Dim3& grid, const Dim3& block,
                   size_t shared_bytes) {
  fail(ExitCode::kRuntime, "cuda_launch",
       "{} ({}) at the launch of {}x{}x{} blocks of {}x{}x{} threads with {} bytes", error, text, grid.x,
       grid.y, grid.z, block.x, block.y, block.z, shared_bytes);
}

}  // namespace mtyolo

// Sums over the rows of a matrix, and over the pixels of a map.
#pragma once

#include "cuda/column_grid.h"
#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

// sums[r] = sum of x[r * stride + i], 0 <= i < columns, in f32 and in an order that depends on `columns`
// alone. Pointers are on the device; stride counts elements.
struct RowSumArgs {
  KernelType type = KernelType::kF32;
  const void* x = nullptr;
  float* sums = nullptr;
  int rows = 0, columns = 0, stride = 0;
};

// sums[c] = (with accumulate: +=) sum over all pixels of x[..c], in f32 and in an order that depends on x's
// shape alone: gradients of biases. x is f32, f16 or bf16, and may be a slice. workspace has
// column_workspace(x, 1) bytes.
struct PixelSumArgs {
  KernelMap x;
  float* sums = nullptr;  // [x.c]
  bool accumulate = false;
  float* workspace = nullptr;
};

namespace simt {
void row_sum(KernelStream stream, const RowSumArgs& args);
void pixel_sum(KernelStream stream, const PixelSumArgs& args);
}  // namespace simt
namespace cuda {
void row_sum(KernelStream stream, const RowSumArgs& args);
void pixel_sum(KernelStream stream, const PixelSumArgs& args);
}  // namespace cuda

}  // namespace mtyolo

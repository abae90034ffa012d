// Sums over the rows of a matrix.
#pragma once

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

namespace simt {
void row_sum(KernelStream stream, const RowSumArgs& args);
}
namespace cuda {
void row_sum(KernelStream stream, const RowSumArgs& args);
}

}  // namespace mtyolo

// Matrix product with the weights' rows along K, as 1x1 convolutions need it:
//   c[m, n] = act(scale[n] * sum_k a[m, k] b[n, k] + bias[n])
#pragma once

#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

// Operands are of the math's type and so is the result, but for s8, whose result is f32. Pointers are on the
// device. Strides count elements. Rows of a and b start at multiples of 16 bytes and k is a multiple of 16
// bytes of elements; m and n are any. c_stride and c_offset let rows of c be a channel slice of wider pixels.
struct GemmArgs {
  KernelMath math = KernelMath::kF16;
  int m = 0, n = 0, k = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  int a_stride = 0, b_stride = 0, c_stride = 0, c_offset = 0;
  KernelEpilogue epilogue{};
  int stages = 3;  // tiles of k in flight, 2 or 3
};

// Throws Error{"check"} for arguments outside the above.
namespace simt {
void gemm(KernelStream stream, const GemmArgs& args);
}
namespace cuda {
void gemm(KernelStream stream, const GemmArgs& args);
}

}  // namespace mtyolo

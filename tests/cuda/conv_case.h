// One convolution on the emulated device beside the direct sum in double precision; also what the mutation
// test runs.
#pragma once

#include <optional>
#include <string>

#include "cuda/conv.h"

namespace mtyolo::test {

struct ConvCase {
  int n = 1, size = 7;  // images of size x (size + 1)
  int c = 16, real = 0, k = 8, kernel = 3, stride = 1,
      groups = 1;                              // real: channels that are not zero, 0: all
  int x_extra = 0, y_offset = 0, y_extra = 0;  // channels beside the slices, which hold NaN, or -1
  std::optional<KernelType> out{};             // default: as the operands, f32 for s8
  KernelActivation activation = KernelActivation::kNone;
  bool scaled = false, residual = false, moments = false;
  int second = 0;       // the second destination's pixels a pixel: none, 1 or 4
  int hopper = 0;       // multiprocessors, for conv_hopper(); 0: conv()
  ConvConfig config{};  // 64 x 64; m 0: the first of conv_configs()
};

// The arguments of such a case, without pointers.
ConvArgs conv_args(KernelMath math, const ConvCase& c);
// "" when all results are right and nothing beside them was written; else what is wrong. Throws what the
// emulator finds.
std::string conv_fault(KernelMath math, const ConvCase& c);

}  // namespace mtyolo::test

// One product of matrices on the emulated device beside its sum in double precision; also what the mutation
// test runs.
#pragma once

#include <string>

#include "cuda/gemm.h"

namespace mtyolo::test {

struct GemmCase {
  int m = 0, n = 0, k = 0;
  int stages = 3;
  int c_offset = 0, c_extra = 0;  // channels before and after the slice of c
  int a_extra = 0;                // elements between rows of a, NaN or -1
  KernelActivation activation = KernelActivation::kNone;
  bool scaled = false;
};

// "" when c is right and nothing beside it was written; else what is wrong. Throws what the emulator finds.
std::string gemm_fault(KernelMath math, const GemmCase& c);

}  // namespace mtyolo::test

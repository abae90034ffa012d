// How many multiply-adds the instructions of kernels.h reach at most: a loop on registers, for `bench
// kernels`. Included as kernels.h is.
#pragma once

#include "ops/blocked/kernel_tasks.h"

#include "ops/blocked/kernels.h"

namespace mtyolo::ops::blocked {

struct Ceiling {
  int32_t flops;                 // of a round
  float (*run)(int64_t rounds);  // the result only keeps the loop from being left out
};

namespace MTYOLO_COMMON_ISA {
extern const Ceiling kCeiling;
}
namespace avx2 {
extern const Ceiling kCeiling;
}
namespace avx512 {
extern const Ceiling kCeiling;
}
namespace avx512bf16 {  // of pairs
extern const Ceiling kCeiling;
}

const Ceiling& ceiling(Element type);  // with the instructions that kernels() uses on such maps

}  // namespace mtyolo::ops::blocked

#include "ops/blocked/ceiling.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {
namespace {

// One register, and independent sums that hide the latency of a multiply-add and fit the registers.
#if defined(__AVX512F__)
constexpr int kBytes = 64, kSums = 16;
#elif defined(__AVX2__)
constexpr int kBytes = 32, kSums = 12;
#else
constexpr int kBytes = 16, kSums = 12;
#endif
constexpr int kLanes = kBytes / int(sizeof(float));
using Register = float __attribute__((vector_size(kBytes)));

#if defined(__AVX512BF16__)
constexpr int kProducts = 2;
Register multiply_add(Register sum, Register factor, Register step) {
  asm("vdpbf16ps %1, %2, %0" : "+v"(sum) : "v"(factor), "v"(step));
  return sum;
}
#else
constexpr int kProducts = 1;
Register multiply_add(Register sum, Register factor, Register step) { return sum * factor + step; }
#endif

float multiply_adds(int64_t rounds) {
  const Register factor = Register{} + 0.999f, step = Register{} + 1e-3f;
  Register sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Register{} + float(i);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) sums[i] = multiply_add(sums[i], factor, step);
  for (int i = 1; i < kSums; ++i) sums[0] += sums[i];
  float total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += sums[0][lane];
  return total;
}

}  // namespace

extern constinit const Ceiling kCeiling{2 * kSums * kLanes * kProducts, multiply_adds};

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

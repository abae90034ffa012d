// What the register tiles of convolution and weight gradient multiply. Included as simd.h is.
#pragma once

#include "ops/blocked/simd.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

// A product of the register tiles: of floats, or of pairs of bf16 values in 32 bits (the first in the low
// half), which counts as two products added to an f32 sum, the second one first. kSteps: multiply-adds that
// it takes.
struct FloatProduct {
  using Factor = float;
  using Stored = float;
  static constexpr int kLanes = 1, kSteps = 1;
  static Vec vector(const float* p, int) { return load(p); }
  static Vec broadcast(float x, int) { return splat(x); }
  static Vec multiply_add(Vec acc, Vec a, Vec b) { return acc + a * b; }
};
struct PairProduct {
  using Factor = Word;
  using Stored = Bf16;
  static constexpr int kLanes = 2;
  static uint32_t without_second(uint32_t pair) { return pair & 0xffff; }
#if defined(__AVX512BF16__)
  static constexpr int kSteps = 1;
  static Words vector(const Word* p, int) { return *reinterpret_cast<const Words*>(p); }
  static Words broadcast(uint32_t x, int) { return Words{} + x; }
  // Written out: the names of the builtins differ between compilers, and their header has inline functions.
  static Vec multiply_add(Vec acc, Words a, Words b) {
    asm("vdpbf16ps %1, %2, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
  }
#else
  static constexpr int kSteps = 2;
  static Vec vector(const Word* p, int step) {
    const Words pairs = *reinterpret_cast<const Words*>(p);
    return reinterpret_cast<Vec>(step == 0 ? pairs & 0xffff0000 : pairs << 16);
  }
  static Vec broadcast(uint32_t x, int step) {
    return reinterpret_cast<Vec>(Words{} + (step == 0 ? x & 0xffff0000 : x << 16));
  }
  static Vec multiply_add(Vec acc, Vec a, Vec b) { return acc + a * b; }
#endif
};

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

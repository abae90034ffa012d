// Sigmoid and the activations of epilogues, a register at a time. Included as simd.h is.
#pragma once

#include "ops/blocked/simd.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

#if defined(__AVX512F__)
// 1 + e^-x, relative error below 2e-7: e^-x = 2^n * 2^r with |r| <= 1/2 and a polynomial for 2^r whose
// relative error is 2e-9 (Remez's exchange). Instructions are written out: the names of the builtins differ
// between compilers, and their header has inline functions.
inline Vec one_plus_exp_minus(Vec x) {
  asm("vminps %0, %1, %0" : "+v"(x) : "v"(splat(87.0f)));  // of a NaN and a number the second operand: NaN
  asm("vmaxps %0, %1, %0" : "+v"(x) : "v"(splat(-87.0f)));
  const Vec scaled = x * splat(-1.44269504f);
  Vec n, e;
  asm("vrndscaleps $8, %1, %0" : "=v"(n) : "v"(scaled));
  const Vec r = x * splat(-1.92596299e-8f) + (x * splat(-1.44269504f) - n);
  Vec p = splat(1.53458124e-4f);
  p = p * r + splat(1.33999309e-3f);
  p = p * r + splat(9.61848907e-3f);
  p = p * r + splat(5.55032864e-2f);
  p = p * r + splat(0.240226462f);
  p = p * r + splat(0.693147182f);
  p = p * r + splat(1.0f);
  asm("vscalefps %2, %1, %0" : "=v"(e) : "v"(p), "v"(n));
  return e + splat(1.0f);
}
#else
// e^x for |x| <= 87, relative error below 2e-7: 2^n * e^r with |r| <= ln(2)/2 and a polynomial of degree 6
// for e^r (coefficients of Cephes' expf, S. Moshier).
inline Vec exp(Vec x) {
  x = clamp(x, -87.0f, 87.0f);
  const Vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const Vec shifted = x * splat(1.44269504f) + magic;
  const Vec n = shifted - magic;
  const Vec r = (x - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
  Vec p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  const Vec e = p * (r * r) + (r + splat(1.0f));
  const IntVec exponent = (reinterpret_cast<IntVec>(shifted) + (127 - 0x4b400000)) << 23;
  return e * reinterpret_cast<Vec>(exponent);
}

inline Vec one_plus_exp_minus(Vec x) { return splat(1.0f) + exp(-x); }
#endif

inline Vec sigmoid(Vec x) { return splat(1.0f) / one_plus_exp_minus(x); }

inline Vec apply_epilogue(Vec v, Epilogue epilogue, float slope) {
  switch (epilogue) {
    case Epilogue::kNone:
      return v;
    case Epilogue::kSilu:
      return v / one_plus_exp_minus(v);
    case Epilogue::kLeakyRelu:
      return v > Vec{} ? v : v * splat(slope);
    case Epilogue::kSigmoid:
      return sigmoid(v);
    case Epilogue::kRelu:
      return v < Vec{} ? Vec{} : v;
    case Epilogue::kHardswish:
      return v * clamp(v + splat(3.0f), 0.0f, 6.0f) * splat(1.0f / 6.0f);
  }
  return v;
}

// dy/dx of apply_epilogue at v.
inline Vec epilogue_slope(Vec v, Epilogue epilogue, float slope) {
  const Vec one = splat(1.0f);
  switch (epilogue) {
    case Epilogue::kNone:
      return one;
    case Epilogue::kSilu: {
      const Vec s = sigmoid(v);
      return s * (one + v * (one - s));
    }
    case Epilogue::kLeakyRelu:
      return v > Vec{} ? one : splat(slope);
    case Epilogue::kSigmoid: {
      const Vec s = sigmoid(v);
      return s * (one - s);
    }
    case Epilogue::kRelu:
      return v > Vec{} ? one : Vec{};
    case Epilogue::kHardswish: {
      const Vec inside = v * splat(1.0f / 3.0f) + splat(0.5f);
      return v < splat(-3.0f) ? Vec{} : v > splat(3.0f) ? one : inside;
    }
  }
  return one;
}

// Calls f with the activation as a constant where it is one of the usual: a loop without a switch.
template <Epilogue E>
struct Constant {
  static constexpr Epilogue value = E;
};
struct Variable {
  Epilogue value;
};
template <class F>
inline void with_epilogue(Epilogue epilogue, F&& f) {
  if (epilogue == Epilogue::kNone) f(Constant<Epilogue::kNone>{});
  else if (epilogue == Epilogue::kSilu) f(Constant<Epilogue::kSilu>{});
  else if (epilogue == Epilogue::kLeakyRelu) f(Constant<Epilogue::kLeakyRelu>{});
  else f(Variable{epilogue});
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

// The registers of an instruction set in the vector extension of GCC and Clang: a block of 16 channels takes
// one of AVX-512, two of AVX2, four of NEON or SSE. Wider vectors than a register would live in memory (GCC).
// Included inside the kernel sources only, in the namespace of the instruction set they are compiled for.
#pragma once

#include <cstdint>

#include "ops/blocked/kernels.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

// Register tile of the convolution: kTile pixels by kPanelBlocks blocks of output channels.
#if defined(__AVX512F__)
inline constexpr int kPanelBlocks = 2, kTile = 14, kBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kPanelBlocks = 1, kTile = 6, kBytes = 32;
#elif defined(__aarch64__)
inline constexpr int kPanelBlocks = 1, kTile = 5, kBytes = 16;
#else
inline constexpr int kPanelBlocks = 1, kTile = 2, kBytes = 16;
#endif
inline constexpr int kPanel = kPanelBlocks * kBlock;
inline constexpr int kFloats = kBytes / 4,
                     kParts = kBlock / kFloats;  // floats of a register, registers of a block

using Vec = float __attribute__((vector_size(kBytes), aligned(kBytes)));
using IntVec = int32_t __attribute__((vector_size(kBytes), aligned(kBytes)));

using Words = uint32_t __attribute__((vector_size(kBytes), aligned(kBytes)));
using HalfWords = uint16_t __attribute__((vector_size(kBytes / 2), aligned(kBytes / 2), may_alias));
using Word = uint32_t __attribute__((may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
inline Vec load(const Bf16* p) {
  return reinterpret_cast<Vec>(__builtin_convertvector(*reinterpret_cast<const HalfWords*>(p), Words) << 16);
}
// bf16 in the low halves, to nearest even; NaN stays NaN.
inline Words round_to_bf16(Vec v) {
  const Words bits = reinterpret_cast<Words>(v);
  return (v == v ? bits + 0x7fff + (bits >> 16 & 1) : bits | 0x400000) >> 16;
}
inline void store(Bf16* p, Vec v) {
  *reinterpret_cast<HalfWords*>(p) = __builtin_convertvector(round_to_bf16(v), HalfWords);
}
// Not `Vec{} + value`: that costs an addition, because it turns -0 into +0.
inline Vec splat(float v) { return v - Vec{}; }

// NaN stays NaN: it compares false.
inline Vec clamp(Vec x, float low, float high) {
  x = x < splat(low) ? splat(low) : x;
  return x > splat(high) ? splat(high) : x;
}

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

inline Vec sigmoid(Vec x) { return splat(1.0f) / (splat(1.0f) + exp(-x)); }

inline Vec apply_epilogue(Vec v, Epilogue epilogue, float slope) {
  switch (epilogue) {
    case Epilogue::kNone:
      return v;
    case Epilogue::kSilu:
      return v * sigmoid(v);
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

inline int smaller(int a, int b) { return a < b ? a : b; }
inline int larger(int a, int b) { return a > b ? a : b; }

template <class T>
inline T* pixel_at(const MapView& m, int block, int row, int column, int64_t pixel = kBlock) {
  return static_cast<T*>(m.data) + block * m.block_stride + row * m.row_stride + column * pixel;
}
// Calls f with a value of the element type of a map.
template <class F>
inline void with_element(const MapView& m, F&& f) {
  if (m.type == Element::kBF16) f(Bf16{});
  else f(float{});
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

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
#if defined(__AVX512BF16__)
// One instruction; denormals become zero, as its products take them.
inline void store(Bf16* p, Vec v) {
  HalfWords bits;
  asm("vcvtneps2bf16 %1, %0" : "=v"(bits) : "v"(v));
  *reinterpret_cast<HalfWords*>(p) = bits;
}
#else
inline void store(Bf16* p, Vec v) {
  *reinterpret_cast<HalfWords*>(p) = __builtin_convertvector(round_to_bf16(v), HalfWords);
}
#endif
// Not `Vec{} + value`: that costs an addition, because it turns -0 into +0.
inline Vec splat(float v) { return v - Vec{}; }

// NaN stays NaN: it compares false.
inline Vec clamp(Vec x, float low, float high) {
  x = x < splat(low) ? splat(low) : x;
  return x > splat(high) ? splat(high) : x;
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

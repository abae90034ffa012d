// Element types of kernels and the few functions whose fast form differs between device and host. The host
// computes them exactly; the device's error is in the CUDA programming guide: ex2.approx 2 ulp, rcp.approx 1
// ulp.
#pragma once

#include "cuda/device/config.cuh"
#ifdef MTYOLO_SIMT
#include <bit>
#include <cmath>

#include "core/dtype.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

// A float whose low 13 bits of mantissa count for nothing.
struct tf32 {
  uint32_t bits;
};

#ifdef MTYOLO_SIMT

using half = Half;
using bfloat16 = BFloat16;
inline float fast_exp2(float x) { return std::exp2(x); }
inline float rcp(float x) { return 1.0f / x; }
inline float mul_rn(float a, float b) { return a * b; }  // rounded before anything is added to it
inline double mul_rn(double a, double b) { return a * b; }
inline float rsqrt(float x) { return 1.0f / std::sqrt(x); }
inline float as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t as_bits(float x) { return std::bit_cast<uint32_t>(x); }
inline int32_t round_to_int(float x) { return int32_t(std::nearbyint(x)); }  // ties to even
// cvt.rna: to the nearest, ties away from zero.
inline tf32 to_tf32(float x) {
  const uint32_t bits = as_bits(x);
  return {(bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u};
}

#else

using half = __half;
using bfloat16 = __nv_bfloat16;
MTYOLO_DEV float fast_exp2(float x) {
  float y;
  asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
MTYOLO_DEV float rcp(float x) {
  float y;
  asm("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
MTYOLO_DEV float mul_rn(float a, float b) { return __fmul_rn(a, b); }
MTYOLO_DEV double mul_rn(double a, double b) { return __dmul_rn(a, b); }
MTYOLO_DEV float rsqrt(float x) { return rsqrtf(x); }
MTYOLO_DEV float as_float(uint32_t bits) { return __uint_as_float(bits); }
MTYOLO_DEV uint32_t as_bits(float x) { return __float_as_uint(x); }
MTYOLO_DEV int32_t round_to_int(float x) { return __float2int_rn(x); }
#if __CUDA_ARCH__ >= 800 || !defined(__CUDA_ARCH__)
MTYOLO_DEV tf32 to_tf32(float x) {
  tf32 y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y.bits) : "f"(x));
  return y;
}
#endif

#endif

MTYOLO_DEV float to_float(float x) { return x; }
MTYOLO_DEV float to_float(half x) { return static_cast<float>(x); }
MTYOLO_DEV float to_float(bfloat16 x) { return static_cast<float>(x); }
// To the nearest, ties to even.
template <class T>
MTYOLO_DEV T from_float(float x) {
  return static_cast<T>(x);
}

MTYOLO_DEV float fast_exp(float x) { return fast_exp2(x * 1.4426950408889634f); }
MTYOLO_DEV float sigmoid(float x) { return rcp(1.0f + fast_exp(-x)); }
MTYOLO_DEV float silu(float x) { return x * sigmoid(x); }
MTYOLO_DEV float leaky_relu(float x) { return x > 0 ? x : 0.1f * x; }

}  // namespace mtyolo::MTYOLO_KERNEL_NS

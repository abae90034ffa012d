// What kernels of a device work on, in words that need no header of CUDA: maps, element types, epilogues.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtyolo {

enum class KernelType : uint8_t { kF32, kF16, kBF16, kS8, kU8 };

constexpr int bytes_of(KernelType type) {
  return type == KernelType::kF32 ? 4 : type == KernelType::kF16 || type == KernelType::kBF16 ? 2 : 1;
}

// How products are computed: f32 by fused multiply-add; f32 rounded to tf32; f16; bf16 (all three with f32
// sums); s8 with s32 sums.
enum class KernelMath : uint8_t { kF32, kTF32, kF16, kBF16, kS8 };

// Of the operands.
constexpr KernelType type_of(KernelMath math) {
  return math == KernelMath::kF16    ? KernelType::kF16
         : math == KernelMath::kBF16 ? KernelType::kBF16
         : math == KernelMath::kS8   ? KernelType::kS8
                                     : KernelType::kF32;
}

// Images on a device, NHWC: element (n, y, x, c) is at ((n * h + y) * w + x) * pixel_stride + c. A channel
// slice of wider pixels has pixel_stride > c; data points at its first channel.
struct KernelMap {
  void* data = nullptr;
  KernelType type = KernelType::kF32;
  int n = 0, h = 0, w = 0, c = 0;
  int pixel_stride = 0;  // elements

  explicit operator bool() const { return data != nullptr; }
  int64_t pixels() const { return int64_t{n} * h * w; }
  KernelMap channels(int first, int count) const {
    KernelMap slice = *this;
    slice.data = static_cast<char*>(data) + int64_t{first} * bytes_of(type);
    slice.c = count;
    return slice;
  }
};

enum class KernelActivation : uint8_t { kNone, kSilu, kLeakyRelu, kSigmoid, kRelu };

// What a product's sums pass through before they are stored: act(scale[n] * x + bias[n]) (+ a residual, where
// the operation has one) (* out_scale, rounded to the nearest and saturated, where the result is s8).
struct KernelEpilogue {
  const float* scale = nullptr;  // [N] on the device, null: 1
  const float* bias = nullptr;   // [N] on the device, null: 0
  KernelActivation activation = KernelActivation::kNone;
  float out_scale = 1;
};

}  // namespace mtyolo

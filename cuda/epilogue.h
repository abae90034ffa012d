// What a product's accumulators pass through before they are stored: act(scale[n] * x + bias[n]).
#pragma once

#include <cstdint>

namespace mtyolo {

enum class KernelActivation : uint8_t { kNone, kSilu, kLeakyRelu };

struct KernelEpilogue {
  const float* scale = nullptr;  // [N] on the device, null: 1
  const float* bias = nullptr;   // [N] on the device, null: 0
  KernelActivation activation = KernelActivation::kNone;
};

}  // namespace mtyolo

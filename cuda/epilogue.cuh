// The device's side of KernelEpilogue.
#pragma once

#include "cuda/device/math.cuh"
#include "ops/device/types.h"

namespace mtyolo::MTYOLO_KERNEL_NS {

MTYOLO_DEV float activate(KernelActivation activation, float x) {
  if (activation == KernelActivation::kSilu) return silu(x);
  if (activation == KernelActivation::kLeakyRelu) return leaky_relu(x);
  if (activation == KernelActivation::kSigmoid) return sigmoid(x);
  if (activation == KernelActivation::kRelu) return x < 0 ? 0 : x;  // NaN stays
  return x;
}

// Of channel n.
MTYOLO_DEV float finish(const KernelEpilogue& e, int n, float x) {
  if (e.scale != nullptr) x *= e.scale[MTYOLO_MUTANT(1, n, n ^ 1)];
  if (e.bias != nullptr) x += MTYOLO_MUTANT(2, e.bias[n], -e.bias[n]);
  return activate(e.activation, x);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

// From KernelType to the type on the device.
#pragma once

#include "cuda/check.h"
#include "cuda/device/math.cuh"
#include "ops/device/types.h"

namespace mtyolo::MTYOLO_KERNEL_NS {

template <class T>
struct TypeOf {
  using Type = T;
};
// f(TypeOf<T>{}) with the type on the device. Throws Error{"check"} for whole numbers.
template <class F>
void for_float(KernelType type, F&& f) {
  switch (type) {
    case KernelType::kF32:
      return f(TypeOf<float>{});
    case KernelType::kF16:
      return f(TypeOf<half>{});
    case KernelType::kBF16:
      return f(TypeOf<bfloat16>{});
    default:
      check_argument(false, "the map must be f32, f16 or bf16");
  }
}
// f(TypeOf<W>{}) with a whole number of the type's size, for values that are only moved.
template <class F>
void for_word(KernelType type, F&& f) {
  if (bytes_of(type) == 4) f(TypeOf<uint32_t>{});
  else if (bytes_of(type) == 2) f(TypeOf<uint16_t>{});
  else f(TypeOf<uint8_t>{});
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

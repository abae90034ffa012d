// Element types. f64 and i16 exist for storage, cast and the reference ops only.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/error.h"

namespace mtyolo {

enum class DType : uint8_t { kF32, kF16, kBF16, kF64, kU8, kI8, kI16, kI32, kI64, kBool };

size_t item_size(DType type);       // bytes of one element
std::string_view name(DType type);  // "float32", as PyTorch and the goldens spell it
bool is_floating(DType type);
DType dtype_from_name(std::string_view name);  // the inverse of name(); throws Error

// Storage-only 16-bit floats. Conversions round to nearest even and keep NaN and infinity.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value);
  explicit operator float() const;
};
// Without a branch, so that loops over weights vectorise, and without denormal floats, which the threads that
// run kernels flush to zero.
inline Half::operator float() const {
  const uint32_t magnitude = uint32_t(bits & 0x7fffu) << 13;
  const uint32_t rebiased = magnitude + (112u << 23);
  const uint32_t special = magnitude >= (0x1fu << 23) ? rebiased + (112u << 23) : rebiased;  // inf, NaN
  const float subnormal = std::bit_cast<float>(magnitude + (113u << 23)) - 0x1p-14f;
  const uint32_t value = magnitude < (1u << 23) ? std::bit_cast<uint32_t>(subnormal) : special;
  return std::bit_cast<float>(value | uint32_t(bits & 0x8000u) << 16);
}
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) {
    const uint32_t f = std::bit_cast<uint32_t>(value);
    const bool nan = (f & 0x7fffffffu) > 0x7f800000u;
    bits = uint16_t((nan ? f | 0x400000u : f + 0x7fffu + (f >> 16 & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

template <class T>
struct TypeTag {
  using type = T;
};

template <class T>
constexpr DType dtype_of() = delete;
template <>
constexpr DType dtype_of<float>() {
  return DType::kF32;
}
template <>
constexpr DType dtype_of<Half>() {
  return DType::kF16;
}
template <>
constexpr DType dtype_of<BFloat16>() {
  return DType::kBF16;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kF64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::kU8;
}
template <>
constexpr DType dtype_of<int8_t>() {
  return DType::kI8;
}
template <>
constexpr DType dtype_of<int16_t>() {
  return DType::kI16;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::kI32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::kI64;
}
template <>
constexpr DType dtype_of<bool>() {
  return DType::kBool;
}

// Calls f(TypeTag<T>{}) with the C++ type of `type`.
template <class F>
decltype(auto) dispatch_dtype(DType type, F&& f) {
  switch (type) {
    case DType::kF32:
      return f(TypeTag<float>{});
    case DType::kF16:
      return f(TypeTag<Half>{});
    case DType::kBF16:
      return f(TypeTag<BFloat16>{});
    case DType::kF64:
      return f(TypeTag<double>{});
    case DType::kU8:
      return f(TypeTag<uint8_t>{});
    case DType::kI8:
      return f(TypeTag<int8_t>{});
    case DType::kI16:
      return f(TypeTag<int16_t>{});
    case DType::kI32:
      return f(TypeTag<int32_t>{});
    case DType::kI64:
      return f(TypeTag<int64_t>{});
    case DType::kBool:
      return f(TypeTag<bool>{});
  }
  fail(ExitCode::kRuntime, "check", "dispatch_dtype: unknown element type {}", int(type));
}

// An element as double, and back. Half types pass through float.
template <class T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return double(float(value));
  else return double(value);
}

}  // namespace mtyolo

template <>
struct fmt::formatter<mtyolo::DType> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(mtyolo::DType t, Context& ctx) const {
    return fmt::formatter<std::string_view>::format(mtyolo::name(t), ctx);
  }
};

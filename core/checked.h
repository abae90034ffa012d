// Arithmetic on sizes that come from files: a failing result instead of wrap-around (reliability.md section
// 2).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

namespace mtyolo::checked {

inline std::optional<uint64_t> mul(uint64_t a, uint64_t b) {
  uint64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}

inline std::optional<uint64_t> add(uint64_t a, uint64_t b) {
  uint64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}

// The value as another integer type, or nothing if it does not fit.
template <class To, class From>
std::optional<To> narrow(From value) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  To to = 0;
  if (__builtin_add_overflow(value, From{0}, &to)) return std::nullopt;
  return to;
}

}  // namespace mtyolo::checked

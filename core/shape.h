// Shape and strides of a tensor: small values, dimensions stored inline.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/error.h"

namespace mtyolo {

// reliability.md P9: a checkpoint may hold tensors of up to 16 dimensions. The network uses at most 6.
inline constexpr int kMaxRank = 16;

// A list of int64 of length 0..kMaxRank.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return values_[size_t(i)]; }
  int64_t& operator[](int i) { return values_[size_t(i)]; }
  const int64_t* begin() const { return values_.data(); }
  const int64_t* end() const { return values_.data() + rank_; }
  void push_back(int64_t value);
  bool operator==(const Dims& other) const;

 private:
  std::array<int64_t, kMaxRank> values_{};
  int rank_ = 0;
};

// Sizes, every one >= 0. Rank 0 is a scalar with one element.
class Shape : public Dims {
 public:
  using Dims::Dims;
  int64_t numel() const;  // throws Error when the product does not fit
};

// Distances in elements between neighbours along each dimension.
using Strides = Dims;

Strides contiguous_strides(const Shape& shape);
// Strides of an NCHW tensor whose memory order is N,H,W,C.
Strides channels_last_strides(const Shape& nchw);

std::string to_string(const Dims& dims);  // "[8,48,80,80]"

}  // namespace mtyolo

template <class T>
struct fmt::formatter<T, std::enable_if_t<std::is_base_of_v<mtyolo::Dims, T>, char>>
    : fmt::formatter<std::string> {
  template <class Context>
  auto format(const T& d, Context& ctx) const {
    return fmt::formatter<std::string>::format(mtyolo::to_string(d), ctx);
  }
};

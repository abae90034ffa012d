#include "core/shape.h"

#include <algorithm>

namespace mtyolo {

Dims::Dims(std::span<const int64_t> values) {
  MTYOLO_CHECK(values.size() <= size_t(kMaxRank), "shape: {} dimensions, the limit is {}", values.size(),
               kMaxRank);
  std::copy(values.begin(), values.end(), values_.begin());
  rank_ = int(values.size());
}

void Dims::push_back(int64_t value) {
  MTYOLO_CHECK(rank_ < kMaxRank, "shape: more than {} dimensions", kMaxRank);
  values_[size_t(rank_++)] = value;
}

bool Dims::operator==(const Dims& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

int64_t Shape::numel() const {
  int64_t n = 1;
  bool overflow = false;
  for (int64_t d : *this) {
    if (d == 0) return 0;
    overflow |= __builtin_mul_overflow(n, d, &n);
  }
  MTYOLO_CHECK(!overflow, "shape {} has more elements than 64 bits count", *this);
  return n;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides{std::span<const int64_t>(shape.begin(), size_t(shape.rank()))};
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Strides channels_last_strides(const Shape& s) {
  MTYOLO_CHECK(s.rank() == 4, "channels_last_strides: shape {} is not NCHW", s);
  return {s[1] * s[2] * s[3], 1, s[1] * s[3], s[1]};
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.rank(); ++i) text += (i ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

}  // namespace mtyolo

#include "core/tensor.h"

#include <algorithm>

namespace mtyolo {
namespace {

template <class To, class From>
To cast_element(From value) {
  constexpr bool to_half = std::is_same_v<To, Half> || std::is_same_v<To, BFloat16>;
  constexpr bool from_half = std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>;
  if constexpr (from_half) return cast_element<To>(float(value));
  else if constexpr (to_half) return To(float(value));
  else return static_cast<To>(value);
}

void check_sizes(const Shape& shape) {
  for (int64_t d : shape) MTYOLO_CHECK(d >= 0, "tensor: shape {} has a negative size", shape);
}

// Smallest and largest element offset of a view; both 0 when it has no element.
std::pair<int64_t, int64_t> extent(const Shape& shape, const Strides& strides) {
  int64_t low = 0, high = 0;
  if (shape.numel() == 0) return {0, 0};
  bool overflow = false;
  for (int i = 0; i < shape.rank(); ++i) {
    int64_t span = 0;
    overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &span);
    int64_t& end = span < 0 ? low : high;
    overflow |= __builtin_add_overflow(end, span, &end);
  }
  MTYOLO_CHECK(!overflow, "tensor view: shape {} with strides {} reaches beyond 64 bits", shape, strides);
  return {low, high};
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType type, const std::shared_ptr<Allocator>& allocator) {
  check_sizes(shape);
  MTYOLO_CHECK(shape.numel() <= INT64_MAX / int64_t(item_size(type)), "tensor: shape {} of {} is too large",
               shape, type);
  Tensor t;
  t.shape_ = shape;
  t.strides_ = contiguous_strides(shape);
  t.dtype_ = type;
  t.storage_ = Storage::allocate(allocator, t.size_bytes());
  return t;
}

Tensor Tensor::empty_blocked(const Shape& shape, int halo, const std::shared_ptr<Allocator>& allocator,
                             DType type) {
  constexpr int64_t kLanes = 16;
  check_sizes(shape);
  MTYOLO_CHECK(shape.rank() == 4 && halo >= 0 && (type == DType::kF32 || type == DType::kBF16),
               "blocked map of shape {} and {} with halo {}", shape, type, halo);
  const int64_t row = (shape[3] + 2 * halo) * kLanes, block = (shape[2] + 2 * halo) * row;
  const int64_t image = (shape[1] + kLanes - 1) / kLanes * block;
  Tensor t;
  t.shape_ = shape;
  t.strides_ = Strides{image, block, row, kLanes};
  t.halo_ = halo;
  t.dtype_ = type;
  t.offset_ = halo * (row + kLanes);
  t.storage_ = Storage::allocate(allocator, size_t(shape[0] * image) * item_size(type));
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType type, const std::shared_ptr<Allocator>& allocator) {
  Tensor t = empty(shape, type, allocator);
  std::memset(t.raw(), 0, t.size_bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType type) {
  Tensor t = empty(shape, type);
  t.fill(value);
  return t;
}

Tensor Tensor::view(std::shared_ptr<Storage> storage, int64_t offset, const Shape& shape,
                    const Strides& strides, DType type) {
  MTYOLO_CHECK(shape.rank() == strides.rank(), "tensor view: shape {} with strides {}", shape, strides);
  check_sizes(shape);
  const auto [low, high] = extent(shape, strides);
  const int64_t capacity = int64_t(storage->size_bytes() / item_size(type));
  const bool inside =
      shape.numel() == 0 || (offset >= 0 && offset < capacity && low >= -offset && high < capacity - offset);
  MTYOLO_CHECK(inside, "tensor view: shape {} strides {} offset {} leaves a storage of {} elements", shape,
               strides, offset, capacity);
  Tensor t;
  t.storage_ = std::move(storage);
  t.offset_ = offset;
  t.shape_ = shape;
  t.strides_ = strides;
  t.dtype_ = type;
  return t;
}

bool Tensor::is_contiguous() const {
  if (is_blocked()) return false;
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape_[i] != 1 && strides_[i] != step) return shape_.numel() == 0;
    step *= shape_[i];
  }
  return true;
}

bool Tensor::is_channels_last() const {
  return !is_blocked() && rank() == 4 && strides_ == channels_last_strides(shape_);
}

void* Tensor::raw() const {
  MTYOLO_CHECK(defined(), "tensor: used before it was given storage");
  return static_cast<std::byte*>(storage_->data()) + offset_ * int64_t(item_size(dtype_));
}

Tensor Tensor::slice(int dim, int64_t begin, int64_t end) const {
  MTYOLO_CHECK(dim >= 0 && dim < rank() && 0 <= begin && begin <= end && end <= shape_[dim],
               "slice: {}..{} of dimension {} of {}", begin, end, dim, *this);
  const bool whole_blocks = dim == 0 || (dim == 1 && begin % 16 == 0);
  MTYOLO_CHECK(!is_blocked() || whole_blocks, "slice: {}..{} of dimension {} of {}", begin, end, dim, *this);
  Tensor t = *this;
  t.offset_ += (is_blocked() && dim == 1 ? begin / 16 : begin) * strides_[dim];
  t.shape_[dim] = end - begin;
  return t;
}

Tensor Tensor::permute(std::initializer_list<int> order) const {
  MTYOLO_CHECK(int(order.size()) == rank() && !is_blocked(), "permute: {} axes for {}", order.size(), *this);
  Tensor t = *this;
  uint32_t seen = 0;
  int to = 0;
  for (int from : order) {
    MTYOLO_CHECK(from >= 0 && from < rank() && !(seen >> from & 1u), "permute: axis {} of {}", from, *this);
    seen |= 1u << from;
    t.shape_[to] = shape_[from];
    t.strides_[to++] = strides_[from];
  }
  return t;
}

Tensor Tensor::reshape(const Shape& shape) const {
  MTYOLO_CHECK(shape.numel() == numel(), "reshape: {} to {}", *this, shape);
  Tensor t = contiguous();
  t.shape_ = shape;
  t.strides_ = contiguous_strides(shape);
  return t;
}

Tensor Tensor::channels_last() const {
  Tensor t = empty(shape_, dtype_);
  t.strides_ = channels_last_strides(shape_);
  t.copy_from(*this);
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape_, dtype_);
  t.copy_from(*this);
  return t;
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::to(DType type) const {
  if (type == dtype_) return contiguous();
  Tensor t = empty(shape_, type);
  t.copy_from(*this);
  return t;
}

void Tensor::copy_from(const Tensor& source) {
  MTYOLO_CHECK(source.shape_ == shape_, "copy: {} from {}", *this, source);
  MTYOLO_CHECK(defined() && source.defined(), "copy: {} from {}", *this, source);
  MTYOLO_CHECK(storage_->writable(), "copy: the destination {} is read-only", *this);
  if (dtype_ == source.dtype_ && is_contiguous() && source.is_contiguous()) {
    if (numel() != 0) std::memcpy(raw(), source.raw(), size_bytes());
    return;
  }
  dispatch_dtype(dtype_, [&](auto to_tag) {
    dispatch_dtype(source.dtype_, [&](auto from_tag) {
      using To = typename decltype(to_tag)::type;
      using From = typename decltype(from_tag)::type;
      To* to = data<To>();
      const From* from = source.data<From>();
      if (is_contiguous() && source.is_contiguous()) {
        for (int64_t i = 0, n = numel(); i < n; ++i) to[i] = cast_element<To>(from[i]);
        return;
      }
      for_each_pair(shape_, strides_, source.strides_,
                    [&](int64_t a, int64_t b) { to[a] = cast_element<To>(from[b]); });
    });
  });
}

void Tensor::fill(double value) {
  dispatch_dtype(dtype_, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* p = data<T>();
    for_each_pair(shape_, strides_, strides_, [&](int64_t a, int64_t) { p[a] = cast_element<T>(value); });
  });
}

double Tensor::at(std::initializer_list<int64_t> index) const {
  MTYOLO_CHECK(int(index.size()) == rank() && !is_blocked(), "at: {} indices for {}", index.size(), *this);
  int64_t position = 0;
  int d = 0;
  for (int64_t i : index) {
    MTYOLO_CHECK(i >= 0 && i < shape_[d], "at: index {} of dimension {} of {}", i, d, *this);
    position += i * strides_[d++];
  }
  return dispatch_dtype(dtype_, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return to_double(data<T>()[position]);
  });
}

std::string to_string(const Tensor& t) {
  if (!t.defined()) return "undefined tensor";
  return fmt::format("{} {} {}{}", to_string(t.shape()), name(t.dtype()), to_string(t.device()),
                     t.is_blocked() ? " blocked" : "");
}

bool bit_equal(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.numel() == 0 || std::memcmp(x.raw(), y.raw(), x.size_bytes()) == 0;
}

}  // namespace mtyolo

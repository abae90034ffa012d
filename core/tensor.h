// Tensor: a view of elements in a shared storage. Copying copies the handle; clone() copies the elements.
// The logical order of images is always N,C,H,W; channels-last memory is only a matter of strides, and maps
// in blocks of 16 channels (is_blocked) are read by ops that know them and refused by all others.
#pragma once

#include <vector>

#include "core/dtype.h"
#include "core/shape.h"
#include "core/storage.h"

namespace mtyolo {

class Tensor {
 public:
  Tensor() = default;  // undefined: no storage

  // New contiguous tensors on the allocator's device; empty() leaves the elements undefined.
  static Tensor empty(const Shape& shape, DType type = DType::kF32,
                      const std::shared_ptr<Allocator>& allocator = host_allocator());
  static Tensor zeros(const Shape& shape, DType type = DType::kF32,
                      const std::shared_ptr<Allocator>& allocator = host_allocator());
  static Tensor full(const Shape& shape, double value, DType type = DType::kF32);
  // A map of shape [N,C,H,W], f32 or bf16, stored as [N][ceil(C/16)][H + 2*halo][W + 2*halo][16]: lanes
  // beyond C hold anything, the halo is for the writer to zero (ops/blocked/blocked.h). Strides count
  // elements between images, blocks of 16 channels, rows and pixels; the first element is channel 0 of pixel
  // (0,0).
  static Tensor empty_blocked(const Shape& shape, int halo,
                              const std::shared_ptr<Allocator>& allocator = host_allocator(),
                              DType type = DType::kF32);
  // A view of existing bytes. `offset` and `strides` count elements. Throws if an element lies outside.
  static Tensor view(std::shared_ptr<Storage> storage, int64_t offset, const Shape& shape,
                     const Strides& strides, DType type);
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }
  int rank() const { return shape_.rank(); }
  int64_t size(int dim) const { return shape_[dim]; }
  int64_t stride(int dim) const { return strides_[dim]; }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_->device(); }
  size_t size_bytes() const { return size_t(numel()) * item_size(dtype_); }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  int64_t offset() const { return offset_; }

  bool is_blocked() const { return halo_ >= 0; }
  int halo() const { return halo_; }  // of a blocked map, else -1
  bool is_contiguous() const;         // elements follow each other in row-major order
  bool is_channels_last() const;      // rank 4, memory order N,H,W,C

  // First element. data<T>() throws unless T is the element type and the elements lie where the strides say.
  void* raw() const;
  template <class T>
  T* data() const {
    MTYOLO_CHECK(dtype_ == dtype_of<T>(), "tensor holds {}, asked for {}", dtype_, dtype_of<T>());
    MTYOLO_CHECK(!is_blocked(), "a map of shape {} in blocks of channels, where plain strides are needed",
                 shape_);
    return static_cast<T*>(raw());
  }

  // Views: no element moves. Blocked maps: images any, channels from a multiple of 16, nothing else.
  Tensor slice(int dim, int64_t begin, int64_t end) const;  // begin <= i < end
  Tensor permute(std::initializer_list<int> order) const;
  Tensor reshape(const Shape& shape) const;  // a view where is_contiguous(), else a copy
  Tensor channels_last() const;              // NCHW copy with channels-last strides

  // Copies.
  Tensor clone() const;         // contiguous
  Tensor contiguous() const;    // *this if contiguous, else clone()
  Tensor to(DType type) const;  // cast, contiguous; *this if nothing changes. Float to integer truncates
  void copy_from(const Tensor& source);  // same shape; casts; both on the host
  void fill(double value);

  double at(std::initializer_list<int64_t> index) const;  // one element as double; for tests and messages

 private:
  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;
  Shape shape_;
  Strides strides_;
  DType dtype_ = DType::kF32;
  int halo_ = -1;  // >= 0: blocked
};

std::string to_string(const Tensor& t);            // "[8,48,80,80] float32 cpu", "... blocked"
bool bit_equal(const Tensor& a, const Tensor& b);  // same shape, type and element bytes

// Calls f(offset of a, offset of b) for every element of `shape`, in row-major order.
template <class F>
void for_each_pair(const Shape& shape, const Strides& a, const Strides& b, F&& f) {
  if (shape.numel() == 0) return;
  Dims index{std::span<const int64_t>(shape.begin(), size_t(shape.rank()))};
  for (int i = 0; i < index.rank(); ++i) index[i] = 0;
  int64_t offset_a = 0, offset_b = 0;
  while (true) {
    f(offset_a, offset_b);
    int d = shape.rank() - 1;
    for (; d >= 0; --d) {
      offset_a += a[d];
      offset_b += b[d];
      if (++index[d] < shape[d]) break;
      offset_a -= index[d] * a[d];
      offset_b -= index[d] * b[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape) {
  MTYOLO_CHECK(int64_t(values.size()) == shape.numel(), "tensor of shape {} given {} values", shape,
               values.size());
  Tensor t = empty(shape, dtype_of<T>());
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

}  // namespace mtyolo

template <>
struct fmt::formatter<mtyolo::Tensor> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const mtyolo::Tensor& t, Context& ctx) const {
    return fmt::formatter<std::string>::format(mtyolo::to_string(t), ctx);
  }
};

// Element access for kernels that take any strides: N,C,H,W views and a dispatch on f32 and f64.
#pragma once

#include "core/tensor.h"
#include "ops/grad_mode.h"

namespace mtyolo::ops {

// Borrows the elements of a tensor that must outlive it.
template <class T>
struct View4 {
  T* p;
  int64_t sn, sc, sh, sw;
  explicit View4(const Tensor& t)
      : p(t.data<std::remove_const_t<T>>()),
        sn(t.stride(0)),
        sc(t.stride(1)),
        sh(t.stride(2)),
        sw(t.stride(3)) {}
  T& operator()(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return p[n * sn + c * sc + h * sh + w * sw];
  }
};

// Writes a gradient, or adds it to what stands there.
template <class T>
void store(T& to, double value, GradMode mode) {
  to = T(mode == GradMode::kAccumulate ? double(to) + value : value);
}

// Calls f(TypeTag<float>{}) or f(TypeTag<double>{}); the op has checked that it is one of the two.
template <class F>
void dispatch_float(DType type, F&& f) {
  if (type == DType::kF64) f(TypeTag<double>{});
  else f(TypeTag<float>{});
}

// Calls f(out) with a contiguous tensor whose elements end in y.
template <class F>
void write_contiguous(Tensor& y, F&& f) {
  Tensor out = y.is_contiguous() ? y : Tensor::empty(y.shape(), y.dtype());
  f(out);
  if (!y.is_contiguous()) y.copy_from(out);
}

}  // namespace mtyolo::ops

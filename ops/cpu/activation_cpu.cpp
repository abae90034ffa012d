#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {

void activation_reference_cpu(Context&, const Tensor& x, const Activation& p, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = x.data<T>();
    T* to = y.data<T>();
    for_each_pair(x.shape(), x.strides(), y.strides(),
                  [&](int64_t i, int64_t j) { to[j] = T(activation_reference(p, double(from[i]))); });
  });
}

void activation_grad_reference_cpu(Context&, const Tensor& x, const Tensor& gy, const Activation& p,
                                   GradMode mode, Tensor& gx) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = x.data<T>();
    T* to = gx.data<T>();
    const Tensor upstream = gy.contiguous();
    const T* g = upstream.data<T>();
    for_each_pair(x.shape(), x.strides(), gx.strides(), [&](int64_t i, int64_t j) {
      store(to[j], double(*g++) * activation_slope(p, double(from[i])), mode);
    });
  });
}

}  // namespace mtyolo::ops

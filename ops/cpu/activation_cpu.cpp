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

}  // namespace mtyolo::ops

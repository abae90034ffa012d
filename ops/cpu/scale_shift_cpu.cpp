#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {

void scale_shift_cpu(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p, Tensor& y) {
  const Tensor input = x.contiguous();
  const int64_t pixels = x.size(2) * x.size(3);
  write_contiguous(y, [&](Tensor& out) {
    dispatch_float(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      ctx.pool().parallel_for(x.size(0) * x.size(1), [&](int64_t plane) {
        const T value = T(implicit.at({0, plane % x.size(1), 0, 0}));
        const T* from = input.data<T>() + plane * pixels;
        T* to = out.data<T>() + plane * pixels;
        if (p.kind == ImplicitKind::kAdd)
          for (int64_t i = 0; i < pixels; ++i) to[i] = from[i] + value;
        else
          for (int64_t i = 0; i < pixels; ++i) to[i] = from[i] * value;
      });
    });
  });
}

}  // namespace mtyolo::ops

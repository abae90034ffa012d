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

void scale_shift_grad_cpu(Context& ctx, const Tensor& x, const Tensor& implicit, const Tensor& gy,
                          const ScaleShift& p, GradMode mode, Tensor& gx, Tensor& g_implicit) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(x), upstream(gy);
    const bool product = p.kind == ImplicitKind::kMul;
    ctx.pool().parallel_for(x.size(1), [&](int64_t c) {
      const double factor = product ? implicit.at({0, c, 0, 0}) : 1;
      double sum = 0;
      for (int64_t n = 0; n < x.size(0); ++n)
        for (int64_t i = 0; i < x.size(2); ++i)
          for (int64_t j = 0; j < x.size(3); ++j) {
            const double g = double(upstream(n, c, i, j));
            sum += product ? g * double(from(n, c, i, j)) : g;
            if (gx.defined()) store(View4<T>(gx)(n, c, i, j), g * factor, mode);
          }
      if (g_implicit.defined()) store(View4<T>(g_implicit)(0, c, 0, 0), sum, GradMode::kAccumulate);
    });
  });
}

}  // namespace mtyolo::ops

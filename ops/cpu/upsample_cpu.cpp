#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {

void upsample_reference_cpu(Context& ctx, const Tensor& x, const Upsample& p, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(x);
    const View4<T> to(y);
    ctx.pool().parallel_for(y.size(0) * y.size(1), [&](int64_t plane) {
      const int64_t n = plane / y.size(1), c = plane % y.size(1);
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j) to(n, c, i, j) = from(n, c, i / p.scale, j / p.scale);
    });
  });
}

void upsample_grad_reference_cpu(Context& ctx, const Tensor& gy, const Upsample& p, GradMode mode,
                                 Tensor& gx) {
  dispatch_float(gy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(gy);
    const View4<T> to(gx);
    ctx.pool().parallel_for(gx.size(0) * gx.size(1), [&](int64_t plane) {
      const int64_t n = plane / gx.size(1), c = plane % gx.size(1);
      for (int64_t i = 0; i < gx.size(2); ++i)
        for (int64_t j = 0; j < gx.size(3); ++j) {
          double sum = 0;
          for (int64_t u = 0; u < p.scale; ++u)
            for (int64_t v = 0; v < p.scale; ++v) sum += double(from(n, c, i * p.scale + u, j * p.scale + v));
          store(to(n, c, i, j), sum, mode);
        }
    });
  });
}

}  // namespace mtyolo::ops

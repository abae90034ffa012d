#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {

void space_to_depth_cpu(Context& ctx, const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(x);
    const View4<T> to(y);
    ctx.pool().parallel_for(y.size(0) * y.size(1), [&](int64_t plane) {
      const int64_t n = plane / y.size(1), channel = plane % y.size(1);
      const int64_t block = channel / x.size(1), c = channel % x.size(1);
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j)
          to(n, channel, i, j) = from(n, c, 2 * i + block % 2, 2 * j + block / 2);
    });
  });
}

void space_to_depth_grad_cpu(Context& ctx, const Tensor& gy, GradMode mode, Tensor& gx) {
  dispatch_float(gy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(gy);
    const View4<T> to(gx);
    ctx.pool().parallel_for(gx.size(0) * gx.size(1), [&](int64_t plane) {
      const int64_t n = plane / gx.size(1), c = plane % gx.size(1);
      for (int64_t i = 0; i < gx.size(2); ++i)
        for (int64_t j = 0; j < gx.size(3); ++j) {
          const int64_t block = i % 2 + 2 * (j % 2);
          store(to(n, c, i, j), double(from(n, block * gx.size(1) + c, i / 2, j / 2)), mode);
        }
    });
  });
}

}  // namespace mtyolo::ops

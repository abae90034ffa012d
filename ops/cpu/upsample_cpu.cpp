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

}  // namespace mtyolo::ops

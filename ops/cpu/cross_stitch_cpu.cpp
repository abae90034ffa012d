#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {

void cross_stitch_cpu(Context& ctx, std::span<const Tensor> x, const Tensor& weight, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<T> out(y);
    const int64_t channels = y.size(1);
    ctx.pool().parallel_for(y.size(0) * channels, [&](int64_t plane) {
      const int64_t n = plane / channels, c = plane % channels;
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j) {
          double sum = 0;
          for (size_t k = 0; k < x.size(); ++k)
            sum += weight.at({int64_t(k), c}) * double(View4<const T>(x[k])(n, c, i, j));
          out(n, c, i, j) = T(sum);
        }
    });
  });
}

void cross_stitch_grad_cpu(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& gy,
                           GradMode mode, Tensor& gx, Tensor& g_weight) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(x), upstream(gy);
    ctx.pool().parallel_for(x.size(1), [&](int64_t c) {
      double sum = 0;
      for (int64_t n = 0; n < x.size(0); ++n)
        for (int64_t i = 0; i < x.size(2); ++i)
          for (int64_t j = 0; j < x.size(3); ++j) {
            const double g = double(upstream(n, c, i, j));
            sum += g * double(from(n, c, i, j));
            if (gx.defined()) store(View4<T>(gx)(n, c, i, j), g * weight.at({c}), mode);
          }
      if (g_weight.defined())
        store(*(g_weight.data<T>() + c * g_weight.stride(0)), sum, GradMode::kAccumulate);
    });
  });
}

}  // namespace mtyolo::ops

#include <cmath>

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

template <class T>
void reference(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNorm& p, Tensor& y) {
  const View4<const T> from(x);
  const View4<T> to(y);
  ctx.pool().parallel_for(x.size(1), [&](int64_t c) {
    const double mean = stats.mean.at({c}), var = stats.var.at({c});
    const double weight = stats.weight.at({c}), bias = stats.bias.at({c});
    for (int64_t n = 0; n < x.size(0); ++n)
      for (int64_t i = 0; i < x.size(2); ++i)
        for (int64_t j = 0; j < x.size(3); ++j)
          to(n, c, i, j) = T((double(from(n, c, i, j)) - mean) / std::sqrt(var + p.eps) * weight + bias);
  });
}

}  // namespace

void batch_norm_reference_cpu(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNorm& p,
                              Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) { reference<typename decltype(tag)::type>(ctx, x, stats, p, y); });
}

}  // namespace mtyolo::ops

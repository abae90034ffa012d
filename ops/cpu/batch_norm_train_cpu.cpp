#include <algorithm>
#include <cmath>

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

// Calls f(n, i, j) for every pixel of a channel.
template <class F>
void for_pixels(const Shape& shape, F&& f) {
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t i = 0; i < shape[2]; ++i)
      for (int64_t j = 0; j < shape[3]; ++j) f(n, i, j);
}

// One element of a vector of any stride.
template <class T>
T& element(const Tensor& vector, int64_t i) {
  return vector.data<T>()[i * vector.stride(0)];
}

struct Moments {
  double mean, var;
};

// Of one channel: the batch's in two passes, which also move the running ones, or the running ones.
template <class T>
Moments moments(const View4<const T>& x, const Shape& shape, const BatchNormStats& stats,
                const BatchNormTrain& p, int64_t c) {
  T &mean = element<T>(stats.mean, c), &var = element<T>(stats.var, c);
  if (p.frozen) return {double(mean), double(var)};
  const double count = double(shape[0] * shape[2] * shape[3]);
  double sum = 0, squares = 0;
  for_pixels(shape, [&](int64_t n, int64_t i, int64_t j) { sum += double(x(n, c, i, j)); });
  const double center = sum / count;
  for_pixels(shape, [&](int64_t n, int64_t i, int64_t j) {
    const double d = double(x(n, c, i, j)) - center;
    squares += d * d;
  });
  const double unbiased = squares / std::max(count - 1, 1.0);
  mean = T((1 - p.momentum) * double(mean) + p.momentum * center);
  var = T((1 - p.momentum) * double(var) + p.momentum * unbiased);
  return {center, squares / count};
}

template <class T>
void forward(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNormTrain& p,
             const BatchNormSaved& saved, Tensor& y) {
  const View4<const T> from(x);
  const View4<T> to(y);
  ctx.pool().parallel_for(x.size(1), [&](int64_t c) {
    const Moments m = moments(from, x.shape(), stats, p, c);
    const double inv_std = 1 / std::sqrt(m.var + p.eps);
    const double weight = element<T>(stats.weight, c), bias = element<T>(stats.bias, c);
    element<T>(saved.mean, c) = T(m.mean);
    element<T>(saved.inv_std, c) = T(inv_std);
    for_pixels(x.shape(), [&](int64_t n, int64_t i, int64_t j) {
      const double u = (double(from(n, c, i, j)) - m.mean) * inv_std * weight + bias;
      to(n, c, i, j) = T(activation_reference(p.activation, u));
    });
  });
}

template <class T>
void backward(Context& ctx, const Tensor& x, const Tensor& gy, const BatchNormStats& stats,
              const BatchNormTrain& p, const BatchNormSaved& saved, const BatchNormGrads& grads) {
  const View4<const T> from(x), upstream(gy);
  const double count = double(x.size(0) * x.size(2) * x.size(3));
  ctx.pool().parallel_for(x.size(1), [&](int64_t c) {
    const double mean = element<T>(saved.mean, c), inv_std = element<T>(saved.inv_std, c);
    const double weight = element<T>(stats.weight, c), bias = element<T>(stats.bias, c);
    const auto x_hat = [&](int64_t n, int64_t i, int64_t j) {
      return (double(from(n, c, i, j)) - mean) * inv_std;
    };
    const auto gu = [&](int64_t n, int64_t i, int64_t j) {
      const double u = x_hat(n, i, j) * weight + bias;
      return double(upstream(n, c, i, j)) * activation_slope(p.activation, u);
    };
    double gw = 0, gb = 0;
    for_pixels(x.shape(), [&](int64_t n, int64_t i, int64_t j) {
      const double g = gu(n, i, j);
      gw += g * x_hat(n, i, j);
      gb += g;
    });
    if (grads.gw.defined()) store(element<T>(grads.gw, c), gw, grads.param_mode);
    if (grads.gb.defined()) store(element<T>(grads.gb, c), gb, grads.param_mode);
    if (!grads.gx.defined()) return;
    const View4<T> to(grads.gx);
    for_pixels(x.shape(), [&](int64_t n, int64_t i, int64_t j) {
      double g = gu(n, i, j);
      if (!p.frozen) g -= gb / count + x_hat(n, i, j) * gw / count;
      store(to(n, c, i, j), weight * inv_std * g, grads.x_mode);
    });
  });
}

}  // namespace

void batch_norm_train_reference_cpu(Context& ctx, const Tensor& x, const BatchNormStats& stats,
                                    const BatchNormTrain& p, const BatchNormSaved& saved, Tensor& y) {
  dispatch_float(x.dtype(),
                 [&](auto tag) { forward<typename decltype(tag)::type>(ctx, x, stats, p, saved, y); });
}

void batch_norm_train_grad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy,
                                         const BatchNormStats& stats, const BatchNormTrain& p,
                                         const BatchNormSaved& saved, const BatchNormGrads& grads) {
  dispatch_float(x.dtype(), [&](auto tag) {
    backward<typename decltype(tag)::type>(ctx, x, gy, stats, p, saved, grads);
  });
}

}  // namespace mtyolo::ops

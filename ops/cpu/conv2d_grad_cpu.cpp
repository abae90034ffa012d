#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

// The output position that reads input position `at` through kernel tap `tap`, or -1.
int64_t reader(int64_t at, int64_t tap, int stride, int pad, int dilation, int64_t outputs) {
  const int64_t shifted = at + pad - tap * dilation;
  if (shifted < 0 || shifted % stride != 0 || shifted / stride >= outputs) return -1;
  return shifted / stride;
}

template <class T>
struct InputGradient {
  View4<const T> gy, weight;
  Shape out, kernel;
  Conv2d p;

  // dL/dx of pixel (n, c, i, j); products in the order output channel, kernel row, kernel column.
  double at(int64_t n, int64_t c, int64_t i, int64_t j) const {
    const int64_t per_group = kernel[0] / p.groups, group = c / kernel[1];
    double sum = 0;
    for (int64_t o = group * per_group; o < (group + 1) * per_group; ++o)
      for (int64_t u = 0; u < kernel[2]; ++u) {
        const int64_t row = reader(i, u, p.stride_h, p.pad_h, p.dilation_h, out[2]);
        if (row < 0) continue;
        for (int64_t v = 0; v < kernel[3]; ++v) {
          const int64_t column = reader(j, v, p.stride_w, p.pad_w, p.dilation_w, out[3]);
          if (column < 0) continue;
          sum += double(gy(n, o, row, column)) * double(weight(o, c - group * kernel[1], u, v));
        }
      }
    return sum;
  }
};

template <class T>
struct WeightGradient {
  View4<const T> x, gy;
  Shape image, out, kernel;
  Conv2d p;

  // dL/dweight[o, c, u, v]; products in the order image, row, column.
  double at(int64_t o, int64_t c, int64_t u, int64_t v) const {
    const int64_t channel = o / (kernel[0] / p.groups) * kernel[1] + c;
    double sum = 0;
    for (int64_t n = 0; n < out[0]; ++n)
      for (int64_t i = 0; i < out[2]; ++i) {
        const int64_t row = i * p.stride_h - p.pad_h + u * p.dilation_h;
        if (row < 0 || row >= image[2]) continue;
        for (int64_t j = 0; j < out[3]; ++j) {
          const int64_t column = j * p.stride_w - p.pad_w + v * p.dilation_w;
          if (column < 0 || column >= image[3]) continue;
          sum += double(gy(n, o, i, j)) * double(x(n, channel, row, column));
        }
      }
    return sum;
  }

  double bias(int64_t o) const {
    double sum = 0;
    for (int64_t n = 0; n < out[0]; ++n)
      for (int64_t i = 0; i < out[2]; ++i)
        for (int64_t j = 0; j < out[3]; ++j) sum += double(gy(n, o, i, j));
    return sum;
  }
};

}  // namespace

void conv2d_dgrad_reference_cpu(Context& ctx, const Tensor& gy, const Tensor& weight, const Conv2d& p,
                                GradMode mode, Tensor& gx) {
  dispatch_float(gy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const InputGradient<T> gradient{View4<const T>(gy), View4<const T>(weight), gy.shape(), weight.shape(),
                                    p};
    const View4<T> to(gx);
    ctx.pool().parallel_for(gx.size(0) * gx.size(1), [&](int64_t plane) {
      const int64_t n = plane / gx.size(1), c = plane % gx.size(1);
      for (int64_t i = 0; i < gx.size(2); ++i)
        for (int64_t j = 0; j < gx.size(3); ++j) store(to(n, c, i, j), gradient.at(n, c, i, j), mode);
    });
  });
}

void conv2d_wgrad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy, const Conv2d& p,
                                GradMode mode, Tensor& gw, Tensor& gb) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const WeightGradient<T> gradient{View4<const T>(x), View4<const T>(gy), x.shape(),
                                     gy.shape(),        gw.shape(),         p};
    const View4<T> to(gw);
    ctx.pool().parallel_for(gw.size(0) * gw.size(1), [&](int64_t plane) {
      const int64_t o = plane / gw.size(1), c = plane % gw.size(1);
      for (int64_t u = 0; u < gw.size(2); ++u)
        for (int64_t v = 0; v < gw.size(3); ++v) store(to(o, c, u, v), gradient.at(o, c, u, v), mode);
      if (c == 0 && gb.defined()) store(gb.data<T>()[o * gb.stride(0)], gradient.bias(o), mode);
    });
  });
}

}  // namespace mtyolo::ops

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

template <class T>
struct Operands {
  View4<const T> x, weight;
  Shape image, kernel;
  Conv2d p;
};

// Output (n, o, i, j): bias, then the products in the order channel, kernel row, kernel column.
template <class T>
double output(const Operands<T>& a, double bias, int64_t n, int64_t o, int64_t i, int64_t j) {
  const auto& [x, weight, image, kernel, p] = a;
  const int64_t first_channel = (o / (kernel[0] / p.groups)) * kernel[1];
  double sum = bias;
  for (int64_t c = 0; c < kernel[1]; ++c)
    for (int64_t u = 0; u < kernel[2]; ++u)
      for (int64_t v = 0; v < kernel[3]; ++v) {
        const int64_t row = i * p.stride_h - p.pad_h + u * p.dilation_h;
        const int64_t column = j * p.stride_w - p.pad_w + v * p.dilation_w;
        if (row < 0 || row >= image[2] || column < 0 || column >= image[3]) continue;
        sum += double(x(n, first_channel + c, row, column)) * double(weight(o, c, u, v));
      }
  return sum;
}

}  // namespace

void conv2d_reference_cpu(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2d& p, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Operands<T> operands{View4<const T>(x), View4<const T>(weight), x.shape(), weight.shape(), p};
    const View4<T> to(y);
    ctx.pool().parallel_for(y.size(0) * y.size(1), [&](int64_t plane) {
      const int64_t n = plane / y.size(1), o = plane % y.size(1);
      const double b = bias.defined() ? bias.at({o}) : 0;
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j) to(n, o, i, j) = T(output(operands, b, n, o, i, j));
    });
  });
}

}  // namespace mtyolo::ops

#include <cmath>
#include <limits>

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

// The largest value of the window whose first pixel is (top, left); a NaN in the window wins.
template <class T>
T window_max(const View4<const T>& plane, const Shape& image, int k, int64_t top, int64_t left) {
  T best = -std::numeric_limits<T>::infinity();
  for (int64_t i = top; i < top + k; ++i)
    for (int64_t j = left; j < left + k; ++j) {
      if (i < 0 || i >= image[2] || j < 0 || j >= image[3]) continue;
      const T value = plane(0, 0, i, j);
      if (value > best || std::isnan(value)) best = value;
      if (std::isnan(best)) return best;
    }
  return best;
}

}  // namespace

void max_pool2d_reference_cpu(Context& ctx, const Tensor& x, const MaxPool2d& p, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<T> to(y);
    ctx.pool().parallel_for(y.size(0) * y.size(1), [&](int64_t index) {
      const int64_t n = index / y.size(1), c = index % y.size(1);
      const View4<const T> plane(x.slice(0, n, n + 1).slice(1, c, c + 1));
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j)
          to(n, c, i, j) = window_max(plane, x.shape(), p.k, i * p.stride - p.pad, j * p.stride - p.pad);
    });
  });
}

}  // namespace mtyolo::ops

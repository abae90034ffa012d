#include <algorithm>
#include <cmath>

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

struct Pixel {
  int64_t row, column;
};

// Where the largest value of the window stands whose first pixel is (top, left): the first in row-major
// order; a NaN wins.
template <class T>
Pixel window_max(const View4<const T>& plane, const Shape& image, int k, int64_t top, int64_t left) {
  Pixel best{-1, -1};
  for (int64_t i = std::max<int64_t>(top, 0); i < std::min(top + k, image[2]); ++i)
    for (int64_t j = std::max<int64_t>(left, 0); j < std::min(left + k, image[3]); ++j) {
      const T value = plane(0, 0, i, j);
      if (std::isnan(value)) return {i, j};
      if (best.row < 0 || value > plane(0, 0, best.row, best.column)) best = {i, j};
    }
  return best;
}

// Calls f(output row, output column, the largest pixel of its window).
template <class T, class F>
void for_windows(const View4<const T>& plane, const Shape& image, const Shape& out, const MaxPool2d& p,
                 F&& f) {
  for (int64_t i = 0; i < out[2]; ++i)
    for (int64_t j = 0; j < out[3]; ++j)
      f(i, j, window_max(plane, image, p.k, i * p.stride - p.pad, j * p.stride - p.pad));
}

}  // namespace

void max_pool2d_reference_cpu(Context& ctx, const Tensor& x, const MaxPool2d& p, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<T> to(y);
    ctx.pool().parallel_for(y.size(0) * y.size(1), [&](int64_t index) {
      const int64_t n = index / y.size(1), c = index % y.size(1);
      const View4<const T> plane(x.slice(0, n, n + 1).slice(1, c, c + 1));
      for_windows(plane, x.shape(), y.shape(), p, [&](int64_t i, int64_t j, Pixel best) {
        to(n, c, i, j) = plane(0, 0, best.row, best.column);
      });
    });
  });
}

void max_pool2d_grad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy, const MaxPool2d& p,
                                   GradMode mode, Tensor& gx) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(gy);
    const View4<T> to(gx);
    const int64_t height = x.size(2), width = x.size(3);
    ctx.pool().parallel_for(x.size(0) * x.size(1), [&](int64_t index) {
      const int64_t n = index / x.size(1), c = index % x.size(1);
      const View4<const T> plane(x.slice(0, n, n + 1).slice(1, c, c + 1));
      std::vector<double> sums(size_t(height * width));
      for_windows(plane, x.shape(), gy.shape(), p, [&](int64_t i, int64_t j, Pixel best) {
        sums[size_t(best.row * width + best.column)] += double(from(n, c, i, j));
      });
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) store(to(n, c, i, j), sums[size_t(i * width + j)], mode);
    });
  });
}

}  // namespace mtyolo::ops

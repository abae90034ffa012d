// Layers of odd shapes, and what their convolution and its gradients are by definition.
#pragma once

#include "tests/ops/blocked/training_testing.h"

namespace mtyolo::test {

using ops::Conv2d;

struct Case {
  int64_t n, c, o, h, w;
  Conv2d p;
};

struct Want {
  Grid y, gx, gw, gb;
};

// All sums of the definition in one loop; y holds the convolution of x, the rest the gradients for gy.
inline Want definition(const Grid& x, const Grid& w, const Grid& gy, const Conv2d& p) {
  Want r{Grid(gy.shape), Grid(x.shape), Grid(w.shape), Grid({gy.shape[1]})};
  const int64_t group_out = w.shape[0] / p.groups;
  for (int64_t n = 0; n < gy.shape[0]; ++n)
    for (int64_t o = 0; o < gy.shape[1]; ++o)
      for (int64_t i = 0; i < gy.shape[2]; ++i)
        for (int64_t j = 0; j < gy.shape[3]; ++j) {
          const double g = gy.at(n, o, i, j);
          r.gb.v[size_t(o)] += g;
          for (int64_t c = 0; c < w.shape[1]; ++c)
            for (int64_t u = 0; u < p.kernel_h; ++u)
              for (int64_t v = 0; v < p.kernel_w; ++v) {
                const int64_t row = i * p.stride_h - p.pad_h + u * p.dilation_h;
                const int64_t column = j * p.stride_w - p.pad_w + v * p.dilation_w;
                if (row < 0 || row >= x.shape[2] || column < 0 || column >= x.shape[3]) continue;
                const int64_t in = o / group_out * w.shape[1] + c;
                r.y.at(n, o, i, j) += x.at(n, in, row, column) * w.at(o, c, u, v);
                r.gx.at(n, in, row, column) += g * w.at(o, c, u, v);
                r.gw.at(o, c, u, v) += g * x.at(n, in, row, column);
              }
        }
  return r;
}

inline const Case kCases[] = {
    {2, 16, 32, 6, 7, Conv2d::square(1, 1, 0)},     {1, 20, 40, 9, 11, Conv2d::square(1, 1, 0)},
    {2, 32, 32, 7, 6, Conv2d::square(3, 1, 1)},     {1, 40, 33, 9, 5, Conv2d::square(3, 1, 1)},
    {1, 16, 24, 8, 7, Conv2d::square(3, 1, 1)},     {2, 18, 48, 8, 10, Conv2d::square(3, 2, 1)},
    {1, 32, 16, 9, 7, Conv2d::square(3, 2, 1)},     {1, 17, 20, 7, 8, Conv2d::square(1, 2, 0)},
    {1, 12, 32, 12, 10, Conv2d::square(6, 2, 2)},   {1, 3, 16, 10, 13, Conv2d::square(3, 2, 1)},
    {2, 3, 32, 8, 9, Conv2d::square(3, 1, 1)},      {1, 32, 48, 6, 6, Conv2d::square(3, 1, 1, 4)},
    {1, 24, 48, 7, 5, Conv2d::square(3, 2, 1, 3)},  {1, 20, 24, 9, 9, {3, 3, 1, 1, 2, 2, 2, 2, 1}},
    {1, 9, 18, 8, 11, {1, 3, 1, 1, 0, 1, 1, 1, 1}}, {1, 16, 16, 11, 9, {5, 5, 3, 4, 2, 2, 1, 1, 1}},
    {1, 34, 70, 1, 1, Conv2d::square(3, 1, 1)},     {1, 16, 16, 7, 7, Conv2d::square(3, 1, 0)},
};

// Rounding errors of f32 sums of `terms` products of mean size 1/4; Winograd's transforms take some more.
inline double tolerance(int64_t terms) {
  return 1e-6 + 4 * std::sqrt(double(terms)) * 0x1p-24 * double(terms) / 4;
}

}  // namespace mtyolo::test

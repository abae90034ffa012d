// Gradients of one convolution on the emulated device beside their sums in double precision; also what the
// mutation test runs.
#pragma once

#include <string>

#include "cuda/conv_grad.h"

namespace mtyolo::test {

struct ConvGradCase {
  struct Shape {
    int n = 1, h = 1, w = 1, c = 8, k = 8;  // of x; channels of gy
    int kernel = 1, stride = 1, pad = 0, groups = 1;
  } shape;
  int m_tile = 64, n_tile = 64, splits = 1;
  int before = 0, after = 0;  // channels around the slice of x or gx, NaN
  bool accumulate = false;
  int channels = 0;       // of a group of gw; 0: all
  bool torch = false;     // gw is [k][c][r][s] instead of [k][r][s][c]
  bool infinite = false;  // one value of gy is
};

// "" when the result is right and nothing beside it was written; else what is wrong. Throw what the emulator
// finds.
std::string dgrad_fault(KernelMath math, const ConvGradCase& c);
std::string wgrad_fault(KernelMath math, const ConvGradCase& c);
std::string bias_grad_fault(KernelMath math, const ConvGradCase& c);
// Whether the parts of wgrad are added in their order: bit for bit as image after image accumulated.
std::string wgrad_order_fault();

}  // namespace mtyolo::test

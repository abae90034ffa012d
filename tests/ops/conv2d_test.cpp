#include "ops/conv2d.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using ops::Conv2d;

namespace {

Tensor conv(OpSetup& s, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2d& p) {
  Tensor y = Tensor::empty(ops::conv2d_shape(x.shape(), w.shape(), p), x.dtype());
  ops::conv2d_forward(s.ctx, s.impls, x, w, bias, p, y);
  return y;
}

struct ConvCase {
  Shape x, w;
  Conv2d p;
};

// Odd, prime and 1 on purpose.
std::vector<ConvCase> conv_cases() {
  return {{{1, 1, 1, 1}, {1, 1, 1, 1}, Conv2d::square(1, 1, 0)},
          {{2, 3, 7, 5}, {5, 3, 3, 3}, Conv2d::square(3, 1, 1)},
          {{1, 17, 6, 11}, {19, 17, 3, 3}, Conv2d::square(3, 2, 1)},
          {{2, 6, 5, 5}, {4, 3, 3, 3}, Conv2d::square(3, 1, 1, 2)},
          {{1, 5, 8, 3}, {5, 1, 5, 5}, Conv2d::square(5, 1, 2, 5)},
          {{1, 33, 4, 4}, {7, 33, 1, 1}, Conv2d::square(1, 1, 0)},
          {{1, 3, 12, 13}, {16, 3, 6, 6}, Conv2d::square(6, 2, 2)},
          {{1, 2, 9, 9}, {3, 2, 1, 3}, {.kernel_w = 3, .stride_w = 2, .pad_w = 1}},
          {{1, 2, 11, 9}, {3, 2, 3, 3}, {3, 3, 1, 2, 2, 1, 2, 1, 1}}};
}

}  // namespace

TEST_CASE("conv2d: a kernel is laid over the image unflipped and zeros surround it", "[ops][conv2d]") {
  OpSetup s;
  const Tensor x = Tensor::from<float>({1, 2, 3, 4}, {1, 1, 2, 2});
  const Tensor w = Tensor::from<float>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  const Tensor y = conv(s, x, w, Tensor::from<float>({100}, {1}), Conv2d::square(3, 1, 1));
  CHECK(bit_equal(y, Tensor::from<float>({177, 167, 147, 137}, {1, 1, 2, 2})));
}

TEST_CASE("conv2d: the size of the output is rounded down", "[ops][conv2d]") {
  CHECK(ops::conv2d_shape({1, 3, 15, 16}, {8, 3, 3, 3}, Conv2d::square(3, 2, 1)) == Shape({1, 8, 8, 8}));
  CHECK(ops::conv2d_shape({1, 3, 4, 4}, {8, 3, 3, 3}, Conv2d::square(3, 2, 0)) == Shape({1, 8, 1, 1}));
  CHECK(ops::conv2d_shape({0, 3, 4, 4}, {8, 3, 1, 1}, Conv2d::square(1, 1, 0)) == Shape({0, 8, 4, 4}));
}

TEST_CASE("conv2d: every implementation agrees with the reference in f64", "[ops][conv2d]") {
  OpSetup s;
  const ConvCase c = GENERATE(from_range(conv_cases()));
  const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.w, 2), b = random_tensor({c.w[0]}, 3);
  const Tensor want = conv(s, x.to(DType::kF64), w.to(DType::kF64), b.to(DType::kF64), c.p);
  for (const auto& impl : s.impls.all<ops::Conv2dForward>()) {
    if (impl.refuses({x, w, c.p}) != nullptr) continue;
    INFO(impl.name << " on " << to_string(c.x) << " with " << to_string(c.w));
    Tensor y = Tensor::empty(want.shape());
    impl.run(s.ctx, x, w, b, c.p, y);
    // Sums of up to 300 products of unit numbers in f32: 300 roundings of at most 2^-24 * 32.
    CHECK(max_difference(y, want) < 1e-4);
  }
}

TEST_CASE("conv2d: strided and channels-last inputs and outputs give the same bits", "[ops][conv2d]") {
  OpSetup s;
  const ConvCase c = GENERATE(from_range(conv_cases()));
  const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.w, 2);
  const Tensor want = conv(s, x, w, {}, c.p);
  for (const Tensor& image : layouts(x))
    for (const Tensor& kernel : layouts(w)) CHECK(bit_equal(conv(s, image, kernel, {}, c.p), want));
  for (Tensor y : layouts(Tensor::zeros(want.shape()))) {
    ops::conv2d_forward(s.ctx, s.impls, x, w, {}, c.p, y);
    CHECK(bit_equal(y, want));
  }
}

TEST_CASE("conv2d: a subset of the output channels gives the same bits", "[ops][conv2d]") {
  OpSetup s;
  const Conv2d p = Conv2d::square(3, 1, 1);
  const Tensor x = random_tensor({2, 13, 6, 7}, 1), w = random_tensor({41, 13, 3, 3}, 2),
               b = random_tensor({41}, 3);
  for (const auto& impl : s.impls.all<ops::Conv2dForward>()) {
    if (impl.refuses({x, w, p}) != nullptr) continue;
    INFO(impl.name);
    Tensor whole = Tensor::empty({2, 41, 6, 7}), part = Tensor::empty({2, 5, 6, 7});
    impl.run(s.ctx, x, w, b, p, whole);
    impl.run(s.ctx, x, w.slice(0, 19, 24).clone(), b.slice(0, 19, 24).clone(), p, part);
    CHECK(bit_equal(part, whole.slice(1, 19, 24)));
  }
}

TEST_CASE("conv2d: a NaN reaches the outputs whose window holds it and no others", "[ops][conv2d]") {
  OpSetup s;
  const int64_t row = GENERATE(0, 5, 8), column = GENERATE(0, 7);
  const int stride = GENERATE(1, 2);
  Tensor x = random_tensor({1, 64, 9, 13}, 1);
  x.slice(1, 1, 2).slice(2, row, row + 1).slice(3, column, column + 1).fill(NAN);
  const Tensor w = random_tensor({32, 64, 3, 3}, 2);
  const Conv2d p = Conv2d::square(3, stride, 1);
  for (const auto& impl : s.impls.all<ops::Conv2dForward>()) {
    if (impl.refuses({x, w, p}) != nullptr) continue;
    Tensor y = Tensor::empty(ops::conv2d_shape(x.shape(), w.shape(), p));
    impl.run(s.ctx, x, w, {}, p, y);
    for (int64_t i = 0; i < y.size(2); ++i)
      for (int64_t j = 0; j < y.size(3); ++j) {
        INFO(impl.name << " at " << i << "," << j << ", stride " << stride);
        const bool inside = std::abs(i * stride - row) < 2 && std::abs(j * stride - column) < 2,
                   nan = std::isnan(y.at({0, 2, i, j}));
        // With stride 1 Winograd's form makes tiles of 4x4 outputs of 6x6 pixels: a NaN reaches the whole
        // tile.
        const bool tile = std::max(i / 4 * 4 - 1 - row, row - i / 4 * 4 - 4) <= 0 &&
                          std::max(j / 4 * 4 - 1 - column, column - j / 4 * 4 - 4) <= 0;
        if (impl.name == "cpu.winograd" && stride == 1) CHECK((inside ? nan : !nan || tile));
        else CHECK(nan == inside);
      }
  }
}

TEST_CASE("conv2d: a refusal names the operands and what was expected", "[ops][conv2d]") {
  const auto text = [](const Shape& x, const Shape& w, const Conv2d& p) {
    return error_text([&] { ops::conv2d_shape(x, w, p); });
  };
  CHECK(text({8, 48, 80, 80}, {128, 64, 3, 3}, Conv2d::square(3, 1, 1)) ==
        "conv2d: input has 48 channels, weight expects 64 (64 per group, 1 group)\n"
        "  input [8,48,80,80], weight [128,64,3,3], kernel 3x3 stride 1x1 pad 1x1");
  CHECK(text({1, 4, 8, 8}, {5, 2, 3, 3}, Conv2d::square(3, 1, 1, 2)) ==
        "conv2d: 5 output channels do not split into 2 groups\n"
        "  input [1,4,8,8], weight [5,2,3,3], kernel 3x3 stride 1x1 pad 1x1 groups 2");
  CHECK(text({1, 4, 2, 2}, {5, 4, 3, 3}, Conv2d::square(3, 1, 0)) ==
        "conv2d: the padded input is smaller than the kernel\n"
        "  input [1,4,2,2], weight [5,4,3,3], kernel 3x3 stride 1x1 pad 0x0");
  CHECK(text({4, 2, 2}, {5, 4, 3, 3}, Conv2d::square(3, 1, 0)) ==
        "conv2d: input has shape [4,2,2], expected 4 dimensions N,C,H,W");
  CHECK(text({1, 4, 8, 8}, {5, 4, 3, 3}, Conv2d::square(1, 1, 0))
            .starts_with("conv2d: weight is for a 3x3 kernel, asked for 1x1"));
  CHECK(text({1, 4, 8, 8}, {5, 4, 3, 3}, Conv2d::square(3, 0, 0))
            .starts_with("conv2d: kernel, stride, dilation and groups"));
}

TEST_CASE("conv2d: wrong types, bias and output are refused", "[ops][conv2d]") {
  OpSetup s;
  const Conv2d p = Conv2d::square(1, 1, 0);
  const Tensor x = random_tensor({1, 2, 3, 3}, 1), w = random_tensor({4, 2, 1, 1}, 2);
  Tensor y = Tensor::empty({1, 4, 3, 3}), small = Tensor::empty({1, 4, 3, 2});
  const auto run = [&](const Tensor& a, const Tensor& b, const Tensor& bias, Tensor& out) {
    return error_text([&] { ops::conv2d_forward(s.ctx, s.impls, a, b, bias, p, out); });
  };
  CHECK(run(x, w, {}, y) == "no error");
  CHECK(run(x.to(DType::kF16), w, {}, y) ==
        "conv2d: input is [1,2,3,3] float16 cpu, expected float32 or float64");
  CHECK(run(x, w.to(DType::kF64), {}, y) ==
        "conv2d: weight is [4,2,1,1] float64 cpu, expected the type of the input [1,2,3,3] float32 cpu");
  CHECK(run(x, w, Tensor::zeros({3}), y) ==
        "conv2d: bias has shape [3], expected [4] for the weight [4,2,1,1] float32 cpu");
  CHECK(run(x, w, {}, small) ==
        "conv2d: output is [1,4,3,2] float32 cpu, expected [1,4,3,3] float32 for the input [1,2,3,3] float32 "
        "cpu");
  CHECK(run(Tensor(), w, {}, y) == "conv2d: input is an undefined tensor");
}

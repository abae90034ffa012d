#include "ops/cross_stitch.h"

#include <catch2/catch.hpp>

#include "ops/blocked/training.h"
#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("cross_stitch: each channel is a mixture of the inputs' channels", "[ops][cross_stitch]") {
  OpSetup s;
  const Tensor a = Tensor::from<float>({1, 2, 3, 4}, {1, 2, 1, 2});
  const Tensor b = Tensor::from<float>({10, 20, 30, 40}, {1, 2, 1, 2});
  const Tensor weight = Tensor::from<float>({1, 0.5f, 0.1f, -1}, {2, 2});
  Tensor y = Tensor::empty(a.shape());
  ops::cross_stitch_forward(s.ctx, std::vector{a, b}, weight, y);
  CHECK(bit_equal(y, Tensor::from<float>({2, 4, -28.5f, -38}, {1, 2, 1, 2})));
}

TEST_CASE("cross_stitch: the identity changes no bit, plain or blocked", "[ops][cross_stitch]") {
  OpSetup s;
  const Tensor a = random_tensor({2, 21, 3, 5}, 1), b = random_tensor({2, 21, 3, 5}, 2);
  Tensor weight = Tensor::zeros({2, 21});
  for (int64_t c = 0; c < 21; ++c) weight.data<float>()[21 + c] = 1;
  Tensor y = Tensor::empty(a.shape());
  ops::cross_stitch_forward(s.ctx, std::vector{a, b}, weight, y);
  CHECK(bit_equal(y, b));
  const std::vector blocked{ops::blocked::to_blocked(s.ctx, a, 1), ops::blocked::to_blocked(s.ctx, b, 0)};
  Tensor by = Tensor::empty_blocked(a.shape(), 2, s.ctx.allocator());
  ops::cross_stitch_forward(s.ctx, blocked, weight, by);
  CHECK(bit_equal(ops::blocked::to_plain(s.ctx, by), b));
}

TEST_CASE("cross_stitch: every layout gives the same values, and the same gradients", "[ops][cross_stitch]") {
  OpSetup s;
  const Shape shape{2, 21, 5, 6};
  const std::vector x{random_tensor(shape, 1), random_tensor(shape, 2), random_tensor(shape, 3)};
  const Tensor weight = random_tensor({3, 21}, 4), gy = random_tensor(shape, 5);
  Tensor y = Tensor::empty(shape), gx = Tensor::empty(shape), gw = Tensor::zeros({21});
  const Tensor row = weight.slice(0, 1, 2).reshape({21});
  ops::cross_stitch_forward(s.ctx, x, weight, y);
  ops::cross_stitch_backward(s.ctx, x[1], row, gy, ops::GradMode::kOverwrite, gx, gw);

  Tensor gaps = with_gaps(y);
  ops::cross_stitch_forward(s.ctx, std::vector{layouts(x[0])[1], with_gaps(x[1]), x[2]}, weight, gaps);
  CHECK(bit_equal(gaps.contiguous(), y));

  std::vector<Tensor> blocked;
  for (const Tensor& t : x) blocked.push_back(ops::blocked::to_blocked(s.ctx, t, 1));
  Tensor by = Tensor::empty_blocked(shape, 1, s.ctx.allocator()), bgw = Tensor::zeros({21});
  ops::cross_stitch_forward(s.ctx, blocked, weight, by);
  CHECK(max_difference(ops::blocked::to_plain(s.ctx, by), y) < 1e-6);
  const Tensor bgy = ops::blocked::to_blocked(s.ctx, gy, 0);
  Tensor bgx = Tensor::empty_blocked(shape, 1, s.ctx.allocator());
  ops::cross_stitch_backward(s.ctx, blocked[1], row, bgy, ops::GradMode::kOverwrite, bgx, bgw);
  CHECK(max_difference(ops::blocked::to_plain(s.ctx, bgx), gx) < 1e-6);
  CHECK(max_difference(bgw, gw) < 1e-4);
}

TEST_CASE("cross_stitch: shapes that do not fit are refused with both", "[ops][cross_stitch]") {
  OpSetup s;
  const Tensor x = Tensor::zeros({1, 4, 2, 2});
  Tensor y = Tensor::empty(x.shape());
  CHECK(error_text([&] {
          ops::cross_stitch_forward(s.ctx, std::vector{x, x}, Tensor::zeros({2, 5}), y);
        }) == "cross_stitch: weight has shape [2,5], expected [2,4] for 2 inputs [1,4,2,2] float32 cpu");
  CHECK(error_text([&] {
          ops::cross_stitch_forward(s.ctx, std::vector{x, Tensor::zeros({1, 4, 2, 3})}, Tensor::zeros({2, 4}),
                                    y);
        }).find("input is [1,4,2,3]") != std::string::npos);
}

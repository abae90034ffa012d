// Convolution and its gradients on blocked tensors against plain loops in double precision. CMake runs these
// once per instruction set (MTYOLO_ISA).
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/ops/blocked/conv2d_cases.h"

using namespace mtyolo;
using namespace mtyolo::ops;
using namespace mtyolo::test;

TEST_CASE("blocked training: conv2d and both gradients equal the definition", "[blocked]") {
  Setup s;
  const Case c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const Shape w_shape{c.o, c.c / c.p.groups, c.p.kernel_h, c.p.kernel_w};
  const Tensor x = random_tensor({c.n, c.c, c.h, c.w}, 1), w = random_tensor(w_shape, 2);
  const Shape y_shape = conv2d_shape(x.shape(), w_shape, c.p);
  const Tensor gy = random_tensor(y_shape, 3), b = random_tensor({c.o}, 4);
  const Want want = definition(Grid(x), Grid(w), Grid(gy), c.p);
  INFO("kernels " << blocked::kernels().isa << ", x " << to_string(x) << ", weight " << to_string(w));
  const int halo = std::max(c.p.pad_h, c.p.pad_w);
  const Tensor bx = blocked_with_noise(s.ctx, x, halo), bgy = blocked_with_noise(s.ctx, gy, 1);

  Tensor y = dirty(y_shape, 1);
  conv2d_forward(s.ctx, s.impls, bx, w, {}, c.p, y);
  CHECK(difference(s.ctx, y, want.y) < tolerance(w.numel() / c.o));
  CHECK(halo_is_zero(y));

  Tensor gx = dirty(x.shape(), 2);
  s.run<Conv2dBackwardInput>({bgy, w, c.p, gx}, bgy, w, c.p, GradMode::kOverwrite, gx);
  CHECK(difference(s.ctx, gx, want.gx) < tolerance(w.numel() / c.c * c.p.groups));
  CHECK(halo_is_zero(gx));
  const Tensor once = blocked::to_plain(s.ctx, gx);
  s.run<Conv2dBackwardInput>({bgy, w, c.p, gx}, bgy, w, c.p, GradMode::kAccumulate, gx);
  CHECK(difference(s.ctx, gx, Grid(once) + Grid(once)) < 1e-5);
  CHECK(halo_is_zero(gx));

  Tensor gw = Tensor::full(w_shape, NAN), gb = Tensor::full({c.o}, NAN);
  s.run<Conv2dBackwardWeight>({bx, bgy, c.p, gw}, bx, bgy, c.p, GradMode::kOverwrite, gw, gb);
  CHECK(difference(gw, want.gw) < tolerance(c.n * y_shape[2] * y_shape[3]));
  CHECK(difference(gb, want.gb) < 1e-5);
  const Grid first(gw);
  Tensor no_bias;
  s.run<Conv2dBackwardWeight>({bx, bgy, c.p, gw}, bx, bgy, c.p, GradMode::kAccumulate, gw, no_bias);
  CHECK(difference(gw, first + first) < 1e-5);
}

TEST_CASE("blocked training: conv2d and its weight's gradient take a plain image", "[blocked]") {
  Setup s;
  const Conv2d p = Conv2d::square(3, 2, 1);
  const Tensor x = random_tensor({2, 3, 13, 18}, 1), w = random_tensor({24, 3, 3, 3}, 2);
  const Shape y_shape = conv2d_shape(x.shape(), w.shape(), p);
  const Tensor gy = random_tensor(y_shape, 3);
  const Want want = definition(Grid(x), Grid(w), Grid(gy), p);
  Tensor y = dirty(y_shape, 2);
  conv2d_forward(s.ctx, s.impls, x, w, {}, p, y);
  CHECK(difference(s.ctx, y, want.y) < 1e-5);
  const Tensor bgy = blocked_with_noise(s.ctx, gy, 0);
  Tensor gw = Tensor::full(w.shape(), NAN), gb;
  s.run<Conv2dBackwardWeight>({x, bgy, p, gw}, x, bgy, p, GradMode::kOverwrite, gw, gb);
  CHECK(difference(gw, want.gw) < 1e-4);
}

TEST_CASE("blocked training: a gradient without the halo that its convolution reads is copied", "[blocked]") {
  Setup s;
  const Conv2d p = GENERATE(Conv2d::square(3, 1, 1), Conv2d::square(3, 2, 1), Conv2d::square(5, 1, 2));
  const Tensor x = random_tensor({1, 32, 6, 8}, 1), w = random_tensor({32, 32, p.kernel_h, p.kernel_w}, 2);
  const Tensor gy = random_tensor(conv2d_shape(x.shape(), w.shape(), p), 3);
  const Want want = definition(Grid(x), Grid(w), Grid(gy), p);
  Tensor gx = dirty(x.shape(), 0);
  blocked::conv2d_dgrad(s.ctx, blocked_with_noise(s.ctx, gy, 0), w, p, GradMode::kOverwrite, gx);
  CHECK(difference(s.ctx, gx, want.gx) < 1e-4);
}

TEST_CASE("blocked training: conv2d's results do not depend on the number of threads", "[blocked]") {
  const Conv2d p = GENERATE(Conv2d::square(3, 1, 1), Conv2d::square(3, 2, 1), Conv2d::square(1, 1, 0));
  const DType type = GENERATE(DType::kF32, DType::kBF16);
  const Tensor x = random_tensor({3, 48, 22, 21}, 1), w = random_tensor({80, 48, p.kernel_h, p.kernel_w}, 2);
  const Tensor gy = random_tensor(conv2d_shape(x.shape(), w.shape(), p), 3);
  std::vector<std::vector<Tensor>> results;
  for (int threads : {1, 2, 5}) {
    Context ctx(threads);
    const Tensor bx = blocked::to_blocked(ctx, x, 1, type), bgy = blocked::to_blocked(ctx, gy, 1, type);
    Tensor y = dirty(gy.shape(), 1, type), gx = dirty(x.shape(), 1, type), gw = Tensor::empty(w.shape()),
           gb = Tensor::empty({80});
    blocked::conv2d_forward(ctx, bx, w, {}, p, y);
    blocked::conv2d_dgrad(ctx, bgy, w, p, GradMode::kOverwrite, gx);
    blocked::conv2d_wgrad(ctx, bx, bgy, p, GradMode::kOverwrite, gw, gb);
    results.push_back({blocked::to_plain(ctx, y), blocked::to_plain(ctx, gx), gw, gb});
  }
  for (size_t k = 0; k < results[0].size(); ++k) {
    CHECK(bit_equal(results[0][k], results[1][k]));
    CHECK(bit_equal(results[0][k], results[2][k]));
  }
}

TEST_CASE("blocked training: conv2d reads and writes channel ranges of wider maps", "[blocked]") {
  Setup s;
  const Conv2d p = GENERATE(Conv2d::square(3, 1, 1), Conv2d::square(3, 2, 1));
  const Tensor wide_x = random_tensor({2, 96, 8, 7}, 1), w = random_tensor({32, 48, 3, 3}, 2);
  const Tensor x = wide_x.slice(1, 32, 80).contiguous();
  const Shape y_shape = conv2d_shape(x.shape(), w.shape(), p);
  const Tensor gy = random_tensor(y_shape, 3);
  const Want want = definition(Grid(x), Grid(w), Grid(gy), p);
  const Tensor bx = blocked_with_noise(s.ctx, wide_x, 1).slice(1, 32, 80);
  Tensor wide_y = dirty({2, 64, y_shape[2], y_shape[3]}, 1), y = wide_y.slice(1, 16, 48);
  conv2d_forward(s.ctx, s.impls, bx, w, {}, p, y);
  CHECK(difference(s.ctx, y, want.y) < 1e-4);
  CHECK(std::isnan(blocked::to_plain(s.ctx, wide_y).at({1, 15, 0, 0})));
  CHECK(std::isnan(blocked::to_plain(s.ctx, wide_y).at({0, 48, 0, 0})));
  blocked::copy(s.ctx, blocked_with_noise(s.ctx, gy, 0), y);
  Tensor gw = Tensor::empty(w.shape()), gb, wide_gx = dirty(wide_x.shape(), 1), gx = wide_gx.slice(1, 32, 80);
  blocked::conv2d_wgrad(s.ctx, bx, y, p, GradMode::kOverwrite, gw, gb);
  CHECK(difference(gw, want.gw) < 1e-4);
  blocked::conv2d_dgrad(s.ctx, y, w, p, GradMode::kOverwrite, gx);
  CHECK(difference(s.ctx, gx, want.gx) < 1e-4);
  CHECK(std::isnan(blocked::to_plain(s.ctx, wide_gx).at({1, 80, 0, 0})));
}

TEST_CASE("blocked training: conv2d says what it does not take, and plain ops refuse blocked maps",
          "[blocked]") {
  Setup s;
  const Tensor x = blocked::to_blocked(s.ctx, random_tensor({1, 16, 4, 4}, 1), 0),
               w = random_tensor({16, 16, 3, 3}, 2);
  Tensor y = dirty(x.shape(), 0), plain = Tensor::empty(x.shape());
  CHECK_THROWS_WITH(conv2d_forward(s.ctx, s.impls, x, w, {}, Conv2d::square(3, 1, 1), y),
                    Catch::Contains("cpu.blocked: the halo does not cover the padding") &&
                        Catch::Contains("cpu.igemm: takes no blocked map") &&
                        Catch::Contains("cpu.reference: takes no blocked map"));
  CHECK_THROWS_WITH(conv2d_forward(s.ctx, s.impls, x, random_tensor({16, 16, 1, 1}, 1), {}, {}, plain),
                    Catch::Contains("where a blocked map is needed"));
  const Conv2d dilated{3, 3, 2, 2, 2, 2, 2, 2, 1};
  CHECK(std::string(blocked::conv2d_dgrad_refuses({x, w, dilated, x})).find("dilation") != std::string::npos);
}

// Training ops on bf16 maps: products of rounded values, sums in f32, results rounded when they are written.
// CMake runs these once per instruction set (MTYOLO_ISA).
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "ops/blocked/round_weight.h"
#include "ops/blocked/winograd.h"
#include "ops/concat.h"
#include "ops/cross_stitch.h"
#include "ops/head_rows.h"
#include "tests/ops/blocked/conv2d_cases.h"

using namespace mtyolo;
using namespace mtyolo::ops;
using namespace mtyolo::test;

namespace {

using blocked::Element;
constexpr DType kType = DType::kBF16;
constexpr double kRounding = 0x1p-8;  // largest relative error of a rounding to bf16

Tensor rounded(const Tensor& t) { return t.to(DType::kBF16).to(DType::kF32); }
Tensor random_rounded(const Shape& shape, uint32_t stream) { return rounded(random_tensor(shape, stream)); }

Tensor map(Context& ctx, const Tensor& x, int halo) { return blocked_with_noise(ctx, x, halo, kType); }

// How far a map lies outside of `want` rounded to bf16, at most; a NaN counts as the largest of all.
double beyond_rounding(Context& ctx, const Tensor& blocked, const Grid& want) {
  REQUIRE(blocked.dtype() == kType);
  const Grid got(blocked::to_plain(ctx, blocked));
  double worst = 0;
  for (size_t i = 0; i < got.v.size(); ++i) {
    const double d = std::abs(got.v[i] - want.v[i]) - kRounding * std::abs(want.v[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

double largest(const Tensor& t) {
  const Grid g(t);
  double worst = 0;
  for (const double v : g.v) worst = std::max(worst, std::abs(v));
  return worst;
}

}  // namespace

TEST_CASE("bf16: conv2d and both gradients equal the definition on rounded operands", "[blocked][bf16]") {
  Setup s;
  const Case c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const Shape w_shape{c.o, c.c / c.p.groups, c.p.kernel_h, c.p.kernel_w};
  const Tensor x = random_rounded({c.n, c.c, c.h, c.w}, 1), w = random_tensor(w_shape, 2);
  const Shape y_shape = conv2d_shape(x.shape(), w_shape, c.p);
  const Tensor gy = random_rounded(y_shape, 3);
  const Want want = definition(Grid(x), Grid(rounded(w)), Grid(gy), c.p);
  INFO("kernels " << blocked::kernels().isa << ", x " << to_string(x) << ", weight " << to_string(w));
  const Tensor bx = map(s.ctx, x, std::max(c.p.pad_h, c.p.pad_w)), bgy = map(s.ctx, gy, 1);

  Tensor y = dirty(y_shape, 1, kType);
  conv2d_forward(s.ctx, s.impls, bx, w, {}, c.p, y);
  CHECK(beyond_rounding(s.ctx, y, want.y) < tolerance(w.numel() / c.o));
  CHECK(halo_is_zero<BFloat16>(y));

  Tensor gx = dirty(x.shape(), 2, kType);
  const double gx_tolerance = tolerance(w.numel() / c.c * c.p.groups);
  s.run<Conv2dBackwardInput>({bgy, w, c.p, gx}, bgy, w, c.p, GradMode::kOverwrite, gx);
  CHECK(beyond_rounding(s.ctx, gx, want.gx) < gx_tolerance);
  CHECK(halo_is_zero<BFloat16>(gx));
  const Grid once(blocked::to_plain(s.ctx, gx));
  s.run<Conv2dBackwardInput>({bgy, w, c.p, gx}, bgy, w, c.p, GradMode::kAccumulate, gx);
  CHECK(beyond_rounding(s.ctx, gx, once + want.gx) < gx_tolerance);
  CHECK(halo_is_zero<BFloat16>(gx));

  // Sums of weights and biases stay f32.
  Tensor gw = Tensor::full(w_shape, NAN), gb = Tensor::full({c.o}, NAN);
  s.run<Conv2dBackwardWeight>({bx, bgy, c.p, gw}, bx, bgy, c.p, GradMode::kOverwrite, gw, gb);
  CHECK(difference(gw, want.gw) < tolerance(c.n * y_shape[2] * y_shape[3]));
  CHECK(difference(gb, want.gb) < 1e-5);
  const Grid first(gw);
  Tensor no_bias;
  s.run<Conv2dBackwardWeight>({bx, bgy, c.p, gw}, bx, bgy, c.p, GradMode::kAccumulate, gw, no_bias);
  CHECK(difference(gw, first + first) < 1e-5);
}

TEST_CASE("bf16: conv2d and its weight's gradient take a plain f32 image and round it", "[blocked][bf16]") {
  Setup s;
  const Conv2d p = Conv2d::square(3, GENERATE(1, 2), 1);
  const Tensor x = random_tensor({2, 3, 13, 18}, 1), w = random_tensor({24, 3, 3, 3}, 2);
  const Shape y_shape = conv2d_shape(x.shape(), w.shape(), p);
  const Tensor gy = random_rounded(y_shape, 3);
  const Want want = definition(Grid(rounded(x)), Grid(rounded(w)), Grid(gy), p);
  Tensor y = dirty(y_shape, 2, kType), gw = Tensor::full(w.shape(), NAN), gb;
  conv2d_forward(s.ctx, s.impls, x, w, {}, p, y);
  CHECK(beyond_rounding(s.ctx, y, want.y) < 1e-5);
  const Tensor bgy = map(s.ctx, gy, 0);
  s.run<Conv2dBackwardWeight>({x, bgy, p, gw}, x, bgy, p, GradMode::kOverwrite, gw, gb);
  CHECK(difference(gw, want.gw) < 1e-4);
}

TEST_CASE("bf16: all instruction sets agree within the rounding of their sums", "[blocked][bf16]") {
  Setup s;
  const Conv2d p = Conv2d::square(3, GENERATE(1, 2), 1);
  const Tensor x = random_rounded({2, 37, 11, 9}, 1), w = random_tensor({50, 37, 3, 3}, 2);
  const Shape shape = conv2d_shape(x.shape(), w.shape(), p);
  const Tensor bx = map(s.ctx, x, 1), y = dirty(shape, 0, kType);
  Grid first(shape);
  for (const char* isa : {"baseline", "avx2", "avx512", "avx512bf16"}) {
    const blocked::KernelTable* table = blocked::kernels_for(isa);
    if (table == nullptr) continue;
    const blocked::PackedConv conv(s.ctx, w, {}, p, *table, blocked::Element::kBF16);
    blocked::conv2d(s.ctx, conv, {blocked::map_of(bx), blocked::map_of(y), {}, {}});
    INFO(isa);
    if (std::string(isa) == "baseline") first = Grid(blocked::to_plain(s.ctx, y));
    // Sums that differ in their last bits may round to neighbours.
    const Grid got(blocked::to_plain(s.ctx, y));
    for (size_t i = 0; i < got.v.size(); ++i)
      REQUIRE(std::abs(got.v[i] - first.v[i]) <= 2 * kRounding * std::abs(first.v[i]) + tolerance(37 * 9));
  }
}

TEST_CASE("bf16: results are rounded to nearest even, NaN and infinity stay", "[blocked][bf16]") {
  Setup s;
  // a + b on either side of and halfway between neighbours, to infinity, and NaN.
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> a{1, 1, 1, 1.0078125f, -1, 3.3895314e38f, inf, inf, NAN, 0, 3.25e-3f, -0x1p-100f},
      b{0x1p-8f, 0x1.02p-8f, 0x1.fep-9f, 0x1p-8f, -0x1p-8f,   1e36f,
        1,       -inf,       2,          -0.0f,   0x1.5p-12f, -0x1.8p-108f};
  const Shape shape{1, int64_t(a.size()), 1, 1};
  const Tensor x = Tensor::from(a, shape), y = Tensor::from(b, shape);
  Tensor sum = dirty(shape, 0, kType);
  blocked::add_forward(s.ctx, map(s.ctx, x, 0), map(s.ctx, y, 0), sum);
  const Tensor got = blocked::to_plain(s.ctx, sum), ra = rounded(x), rb = rounded(y);
  for (size_t i = 0; i < a.size(); ++i) {
    const float exact = ra.data<float>()[i] + rb.data<float>()[i];
    INFO(a[i] << " + " << b[i]);
    const float value = got.data<float>()[i];
    if (std::isnan(exact)) CHECK(std::isnan(value));
    else CHECK(value == float(BFloat16(exact)));
  }
  CHECK(got.data<float>()[0] == 1);          // a tie goes to the even neighbour below,
  CHECK(got.data<float>()[3] == 1.015625f);  // or above
}

TEST_CASE("bf16: a convolution's f32 result rounds to its bf16 one, in-place activation too",
          "[blocked][bf16]") {
  Setup s;
  const Tensor bx = map(s.ctx, random_rounded({2, 35, 7, 9}, 1), 1), w = random_tensor({40, 35, 3, 3}, 2);
  const blocked::PackedConv conv(s.ctx, w, {}, Conv2d::square(3, 1, 1), blocked::kernels(),
                                 blocked::Element::kBF16);
  const auto run = [&](DType type, Activation activation) {
    const Tensor y = dirty({2, 40, 7, 9}, 0, type);
    blocked::conv2d(s.ctx, conv, {blocked::map_of(bx), blocked::map_of(y), {}, activation});
    return y;
  };
  const Activation silu{ActivationKind::kSilu};
  const Tensor y = run(kType, {}), before = blocked::to_plain(s.ctx, y);
  CHECK(bit_equal(rounded(blocked::to_plain(s.ctx, run(DType::kF32, silu))),
                  blocked::to_plain(s.ctx, run(kType, silu))));
  const Tensor f32 = blocked::to_blocked(s.ctx, before, 0);
  blocked::activate(s.ctx, blocked::map_of(f32), silu);
  blocked::activate(s.ctx, blocked::map_of(y), silu);
  CHECK(bit_equal(blocked::to_plain(s.ctx, y), rounded(blocked::to_plain(s.ctx, f32))));
}

TEST_CASE("bf16: a convolution of f32 maps writes bf16 ones and adds a bf16 residual", "[blocked][bf16]") {
  Setup s;
  const Conv2d p = Conv2d::square(3, 1, 1);
  const Tensor x = random_tensor({2, 3, 11, 9}, 1), r = random_rounded({2, 50, 11, 9}, 2);
  const Tensor w = random_tensor({50, 3, 3, 3}, 3), bias = random_tensor({50}, 4);
  const Element type = GENERATE(Element::kF32, Element::kBF16);  // of x and the weights
  const blocked::PackedConv conv(s.ctx, w, bias, p, blocked::kernels(), type);
  const Tensor in = blocked::to_blocked(s.ctx, x, 1, type == Element::kF32 ? DType::kF32 : kType);
  const auto run = [&](DType to) {
    const DType of_residual = type == Element::kF32 ? to : kType;
    const Tensor residual = blocked::to_blocked(s.ctx, r, 0, of_residual), y = dirty(r.shape(), 0, to);
    blocked::conv2d(s.ctx, conv,
                    {blocked::map_of(in), blocked::map_of(y), blocked::map_of(residual),
                     Activation{ActivationKind::kSilu}});
    return blocked::to_plain(s.ctx, y);
  };
  CHECK(bit_equal(run(kType), rounded(run(DType::kF32))));
  const Tensor y = dirty(r.shape(), 0, kType), residual = blocked::to_blocked(s.ctx, r, 0);
  CHECK_THROWS_WITH(
      blocked::conv2d(s.ctx, conv, {blocked::map_of(in), blocked::map_of(y), blocked::map_of(residual), {}}),
      Catch::Contains("differ in type"));
}

TEST_CASE("bf16: weights are rounded so that the sums of kernels and of 1x1 filters stay",
          "[blocked][bf16]") {
  Context ctx(2);
  const Shape shape = GENERATE(Shape{20, 300, 1, 1}, Shape{20, 7, 3, 3});
  const Tensor w = random_tensor(shape, 1), got = w.clone(), nearest = rounded(w);
  blocked::round_keeping_sums(ctx, got);
  CHECK(bit_equal(got, rounded(got)));
  const int64_t run = shape[2] > 1 ? 9 : 300;
  const auto errors = [&](const Tensor& r, int64_t first) {
    std::pair<double, double> e;  // sum, sum of squares
    for (int64_t i = first; i < first + run; ++i) {
      const double d = double(w.data<float>()[i]) - r.data<float>()[i];
      e.first += d, e.second += d * d;
    }
    return e;
  };
  double sums = 0, nearest_sums = 0, squares = 0, nearest_squares = 0;
  for (int64_t first = 0; first < w.numel(); first += run) {
    const auto [sum, square] = errors(got, first);
    const auto [before, square_before] = errors(nearest, first);
    CHECK(sum * sum + square <= before * before + square_before);
    sums += sum * sum, squares += square;
    nearest_sums += before * before, nearest_squares += square_before;
  }
  CHECK(sums < 0.1 * nearest_sums);
  CHECK(squares < 1.5 * nearest_squares);
  for (int64_t i = 0; i < w.numel(); ++i)  // one of the two neighbours
    REQUIRE(std::abs(got.data<float>()[i] - w.data<float>()[i]) <= 0x1p-7 * std::abs(w.data<float>()[i]));

  const float inf = std::numeric_limits<float>::infinity();
  const Tensor odd = Tensor::from<float>({inf, NAN, -0.0f, 1, 3.4e38f}, {5, 1, 1, 1});
  blocked::round_keeping_sums(ctx, odd);
  CHECK(bit_equal(odd.slice(0, 2, 4), Tensor::from<float>({-0.0f, 1}, {2, 1, 1, 1})));
  CHECK(odd.data<float>()[0] == inf);
  CHECK(std::isnan(odd.data<float>()[1]));
}

TEST_CASE("bf16: winograd conv2d rounds nothing but the result", "[blocked][bf16]") {
  Setup s;
  const blocked::WinogradForm form = GENERATE(blocked::WinogradForm::kF2, blocked::WinogradForm::kF4);
  const Tensor x = random_rounded({2, 37, 11, 9}, 1);
  const Tensor r = random_rounded({2, 50, 11, 9}, 2);
  const blocked::WinogradConv conv(s.ctx, random_tensor({50, 37, 3, 3}, 3), random_tensor({50}, 4), form);
  const auto run = [&](DType type) {
    const Tensor in = blocked::to_blocked(s.ctx, x, 1, type),
                 residual = blocked::to_blocked(s.ctx, r, 0, type);
    const Tensor y = blocked::to_blocked(s.ctx, r, 0, type);
    blocked::conv2d(s.ctx, conv, {blocked::map_of(in), blocked::map_of(y), blocked::map_of(residual), {}});
    return blocked::to_plain(s.ctx, y);
  };
  CHECK(bit_equal(run(DType::kBF16), rounded(run(DType::kF32))));
}

TEST_CASE("bf16: batch norm with activation agrees with f32 on the same values", "[blocked][bf16]") {
  Setup s;
  const int64_t c = 37;
  const ActivationKind kind = GENERATE(ActivationKind::kSilu, ActivationKind::kLeakyRelu);
  const GradMode mode = GENERATE(GradMode::kOverwrite, GradMode::kAccumulate);
  const Tensor x = random_rounded({3, c, 9, 7}, 1), gy = random_rounded(x.shape(), 2),
               before = random_rounded(x.shape(), 3);
  BatchNormTrain p;
  p.activation.kind = kind;
  const auto run = [&](DType type, std::vector<Tensor>& vectors, std::vector<Tensor>& maps) {
    const BatchNormStats stats{random_tensor({c}, 4, 1.5), random_tensor({c}, 5), Tensor::zeros({c}),
                               Tensor::full({c}, 1)};
    const BatchNormSaved saved{Tensor::zeros({c}), Tensor::zeros({c})};
    const Tensor bx = blocked_with_noise(s.ctx, x, 0, type), bgy = blocked_with_noise(s.ctx, gy, 0, type);
    Tensor y = dirty(x.shape(), 1, type);
    batch_norm_train_forward(s.ctx, s.impls, bx, stats, p, saved, y);
    const BatchNormGrads grads{blocked_with_noise(s.ctx, before, 1, type), Tensor::zeros({c}),
                               Tensor::zeros({c}), mode};
    batch_norm_train_backward(s.ctx, s.impls, bx, bgy, stats, p, saved, grads);
    vectors = {stats.mean, stats.var, saved.mean, saved.inv_std, grads.gw, grads.gb};
    maps = {blocked::to_plain(s.ctx, y), blocked::to_plain(s.ctx, grads.gx)};
  };
  std::vector<Tensor> vectors, want_vectors, maps, want_maps;
  run(kType, vectors, maps);
  run(DType::kF32, want_vectors, want_maps);
  for (size_t i = 0; i < vectors.size(); ++i) CHECK(bit_equal(vectors[i], want_vectors[i]));
  CHECK(difference(maps[0], Grid(want_maps[0])) <= kRounding * largest(want_maps[0]));
  CHECK(difference(maps[1], Grid(want_maps[1])) <= 2 * kRounding * largest(want_maps[1]));
}

TEST_CASE("bf16: what only moves or compares values loses nothing", "[blocked][bf16]") {
  Setup s;
  const Tensor x = random_rounded({2, 20, 6, 8}, 1);
  const Tensor bx = map(s.ctx, x, 1), fx = blocked_with_noise(s.ctx, x, 1);
  const auto same = [&](const Shape& shape, auto&& op) {
    Tensor y = dirty(shape, 1, kType), want = dirty(shape, 1);
    op(bx, y);
    op(fx, want);
    CHECK(bit_equal(blocked::to_plain(s.ctx, y), blocked::to_plain(s.ctx, want)));
    CHECK(halo_is_zero<BFloat16>(y));
  };
  same({2, 20, 3, 4}, [&](const Tensor& from, Tensor& to) {
    max_pool2d_forward(s.ctx, s.impls, from, {.k = 2, .stride = 2, .pad = 0}, to);
  });
  same(x.shape(), [&](const Tensor& from, Tensor& to) {
    max_pool2d_forward(s.ctx, s.impls, from, {.k = 5, .stride = 1, .pad = 2}, to);
  });
  same({2, 20, 12, 16},
       [&](const Tensor& from, Tensor& to) { upsample_forward(s.ctx, s.impls, from, {.scale = 2}, to); });
  same({2, 80, 3, 4}, [&](const Tensor& from, Tensor& to) { space_to_depth_forward(s.ctx, from, to); });
  same({2, 40, 6, 8}, [&](const Tensor& from, Tensor& to) {  // the second part begins within a block
    const Tensor parts[] = {from, from};
    concat_forward(s.ctx, parts, to);
  });
  Tensor rows = Tensor::empty({2, 4, 6, 8, 5}), want = Tensor::empty(rows.shape());
  head_rows_forward(s.ctx, bx, 4, rows);
  head_rows_forward(s.ctx, fx, 4, want);
  CHECK(bit_equal(rows, want));
}

TEST_CASE("bf16: gradients of moving ops are sums in f32, rounded once", "[blocked][bf16]") {
  Setup s;
  const Tensor x = random_rounded({1, 20, 8, 6}, 1), before = random_rounded(x.shape(), 2);
  const GradMode mode = GENERATE(GradMode::kOverwrite, GradMode::kAccumulate);
  const auto compare = [&](const Tensor& gy, auto&& op) {
    Tensor gx = map(s.ctx, before, 1), want = blocked_with_noise(s.ctx, before, 1);
    op(map(s.ctx, x, 0), map(s.ctx, gy, 0), gx);
    op(blocked_with_noise(s.ctx, x, 0), blocked_with_noise(s.ctx, gy, 0), want);
    CHECK(beyond_rounding(s.ctx, gx, Grid(blocked::to_plain(s.ctx, want))) == 0);
  };
  compare(random_rounded(x.shape(), 3), [&](const Tensor& from, const Tensor& gy, Tensor& gx) {
    max_pool2d_backward(s.ctx, s.impls, from, gy, {.k = 5, .stride = 1, .pad = 2}, mode, gx);
  });
  compare(random_rounded({1, 20, 16, 12}, 3), [&](const Tensor&, const Tensor& gy, Tensor& gx) {
    upsample_backward(s.ctx, s.impls, gy, {.scale = 2}, mode, gx);
  });
  compare(random_rounded({1, 80, 4, 3}, 3),
          [&](const Tensor&, const Tensor& gy, Tensor& gx) { space_to_depth_backward(s.ctx, gy, mode, gx); });
  compare(random_rounded({1, 50, 8, 6}, 3),
          [&](const Tensor&, const Tensor& gy, Tensor& gx) { concat_backward(s.ctx, gy, 30, mode, gx); });
}

TEST_CASE("bf16: cross-stitch units sum in f32", "[blocked][bf16]") {
  Setup s;
  const Tensor a = random_rounded({2, 20, 5, 6}, 1), b = random_rounded(a.shape(), 2),
               weight = random_tensor({2, 20}, 3);
  const auto run = [&](DType type) {
    const Tensor x[] = {blocked_with_noise(s.ctx, a, 0, type), blocked_with_noise(s.ctx, b, 1, type)};
    Tensor y = dirty(a.shape(), 1, type);
    cross_stitch_forward(s.ctx, x, weight, y);
    return y;
  };
  const Tensor y = run(kType);
  CHECK(beyond_rounding(s.ctx, y, Grid(blocked::to_plain(s.ctx, run(DType::kF32)))) == 0);
  CHECK(halo_is_zero<BFloat16>(y));
}

TEST_CASE("bf16: maps of two types, and plain bf16 tensors, are refused", "[blocked][bf16]") {
  Setup s;
  const Tensor x = random_tensor({1, 16, 4, 4}, 1), w = random_tensor({16, 16, 1, 1}, 2);
  const Tensor bx = map(s.ctx, x, 0);
  Tensor f32 = dirty(x.shape(), 0), plain = Tensor::empty(x.shape(), kType);
  CHECK_THROWS_WITH(conv2d_forward(s.ctx, s.impls, bx, w, {}, {}, f32), Catch::Contains("output is"));
  CHECK_THROWS_WITH(conv2d_forward(s.ctx, s.impls, bx, w.to(kType), {}, {}, f32),
                    Catch::Contains("weight is"));
  CHECK_THROWS_WITH(conv2d_forward(s.ctx, s.impls, plain, w, {}, {}, f32), Catch::Contains("bfloat16"));
}

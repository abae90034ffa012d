#include "ops/fuse.h"

#include <catch2/catch.hpp>

#include "ops/add.h"
#include "ops/conv2d.h"
#include "ops/scale_shift.h"
#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using ops::BatchNormStats;
using ops::Conv2d;
using ops::ConvWeights;

namespace {

constexpr double kEps = 1e-3;

BatchNormStats stats_of(int64_t channels, uint64_t seed) {
  Tensor var = random_tensor({channels}, seed + 3);
  for (int64_t c = 0; c < channels; ++c) var.data<float>()[c] *= var.data<float>()[c];
  return {random_tensor({channels}, seed), random_tensor({channels}, seed + 1),
          random_tensor({channels}, seed + 2), var};
}

Tensor conv(OpSetup& s, const Tensor& x, const ConvWeights& c, const Conv2d& p) {
  Tensor y = Tensor::empty(ops::conv2d_shape(x.shape(), c.weight.shape(), p));
  ops::conv2d_forward(s.ctx, s.impls, x, c.weight, c.bias, p, y);
  return y;
}

Tensor batch_norm(OpSetup& s, const Tensor& x, const BatchNormStats& stats) {
  Tensor y = Tensor::empty(x.shape());
  ops::batch_norm_forward(s.ctx, s.impls, x, stats, {kEps}, y);
  return y;
}

}  // namespace

TEST_CASE("fuse: a folded batch norm gives the values of the two layers", "[ops][fuse]") {
  OpSetup s;
  s.impls.force("conv2d=cpu.reference");  // the fold is on trial here, not the order of summation
  const int groups = GENERATE(1, 3);
  const Conv2d p = Conv2d::square(3, 1, 1, groups);
  const Tensor x = random_tensor({2, 6, 5, 7}, 1);
  const ConvWeights c{random_tensor({9, 6 / groups, 3, 3}, 2),
                      GENERATE(true, false) ? random_tensor({9}, 3) : Tensor()};
  const BatchNormStats stats = stats_of(9, 4);
  const Tensor want = batch_norm(s, conv(s, x, c, p), stats);
  // Values reach about 50 where the variance is small; f32 keeps 7 digits.
  CHECK(max_difference(conv(s, x, ops::fuse_conv_bn(c, stats, kEps), p), want) < 1e-4);
}

TEST_CASE("fuse: half-precision weights are folded in f64 and rounded once", "[ops][fuse]") {
  const auto one = [](float v) { return Tensor::from<float>({v}, {1}); };
  const Tensor weight = Tensor::from<float>({0.1f}, {1, 1, 1, 1}).to(DType::kF16);
  const ConvWeights f = ops::fuse_conv_bn({weight, {}}, {one(3), one(0.5), one(2), one(0.25)}, 0);
  CHECK(f.weight.dtype() == DType::kF32);
  CHECK(f.weight.at({0, 0, 0, 0}) == double(float(weight.at({0, 0, 0, 0}) * 6)));
  CHECK(f.bias.at({0}) == -11.5);
}

TEST_CASE("fuse: RepConv becomes one 3x3 convolution, also with groups and an identity branch",
          "[ops][fuse]") {
  OpSetup s;
  const int groups = GENERATE(1, 2, 3);
  const int64_t channels = 6, per_group = channels / groups;
  const Tensor x = random_tensor({2, channels, 5, 4}, 1);
  ops::RepConvWeights rep{random_tensor({channels, per_group, 3, 3}, 2), stats_of(channels, 10),
                          random_tensor({channels, per_group, 1, 1}, 3), stats_of(channels, 20),
                          std::nullopt};
  Tensor want = batch_norm(s, conv(s, x, {rep.dense, {}}, Conv2d::square(3, 1, 1, groups)), rep.dense_bn);
  const Tensor one = batch_norm(s, conv(s, x, {rep.one, {}}, Conv2d::square(1, 1, 0, groups)), rep.one_bn);
  ops::add_forward(s.ctx, want, one, want);
  if (GENERATE(true, false)) {
    rep.identity = stats_of(channels, 30);
    ops::add_forward(s.ctx, want, batch_norm(s, x, *rep.identity), want);
  }
  const ConvWeights fused = ops::fuse_repconv(rep, kEps, groups);
  CHECK(fused.weight.shape() == rep.dense.shape());
  CHECK(max_difference(conv(s, x, fused, Conv2d::square(3, 1, 1, groups)), want) < 1e-4);
}

TEST_CASE("fuse: implicit terms move into weight and bias", "[ops][fuse]") {
  OpSetup s;
  const int groups = GENERATE(1, 2);
  const Conv2d p = Conv2d::square(1, 1, 0, groups);
  const Tensor x = random_tensor({2, 4, 3, 3}, 1), add = random_tensor({1, 4, 1, 1}, 2);
  const Tensor mul = random_tensor({1, 6, 1, 1}, 3);
  const ConvWeights c{random_tensor({6, 4 / groups, 1, 1}, 4), random_tensor({6}, 5)};
  Tensor shifted = Tensor::empty(x.shape());
  ops::scale_shift_forward(s.ctx, x, add, {ops::ImplicitKind::kAdd}, shifted);
  Tensor want = conv(s, shifted, c, p);
  CHECK(max_difference(conv(s, x, ops::fuse_implicit(c, add, {}, groups), p), want) < 1e-5);
  ops::scale_shift_forward(s.ctx, want, mul, {ops::ImplicitKind::kMul}, want);
  CHECK(max_difference(conv(s, x, ops::fuse_implicit(c, add, mul, groups), p), want) < 1e-5);
  const ConvWeights same = ops::fuse_implicit(c, {}, {}, groups);
  CHECK(bit_equal(same.weight, c.weight));
  CHECK(bit_equal(same.bias, c.bias));
}

TEST_CASE("fuse: on several threads, in memory of the caller, the numbers are the same", "[ops][fuse]") {
  ThreadPool pool(3);
  const auto into = [&] { return ops::FuseInto{Tensor::full({70 * 70 * 9}, 7), &pool}; };
  const DType type = GENERATE(DType::kF16, DType::kF32);
  const ConvWeights c{random_tensor({70, 35, 3, 3}, 1).to(type), random_tensor({70}, 2)};
  const auto same = [](const ConvWeights& a, const ConvWeights& b) {
    return bit_equal(a.weight, b.weight) && bit_equal(a.bias, b.bias);
  };
  CHECK(
      same(ops::fuse_conv_bn(c, stats_of(70, 3), kEps, into()), ops::fuse_conv_bn(c, stats_of(70, 3), kEps)));
  const Tensor add = random_tensor({1, 70, 1, 1}, 4), mul = random_tensor({1, 70, 1, 1}, 5);
  const ConvWeights want = ops::fuse_implicit(c, add, mul, 2);
  CHECK(same(ops::fuse_implicit(c, add, mul, 2, into()), want));
  // The weight to fuse may lie where the result goes.
  ops::FuseInto place = into();
  const ConvWeights copy = ops::fuse_implicit({c.weight, {}}, {}, {}, 2, place);
  CHECK(same(ops::fuse_implicit({copy.weight, c.bias}, add, mul, 2, place), want));
  const ops::RepConvWeights rep{random_tensor({70, 70, 3, 3}, 6).to(type), stats_of(70, 7),
                                random_tensor({70, 70, 1, 1}, 8).to(type), stats_of(70, 9), stats_of(70, 10)};
  CHECK(same(ops::fuse_repconv(rep, kEps, 1, into()), ops::fuse_repconv(rep, kEps)));
}

TEST_CASE("fuse: the inputs are not changed", "[ops][fuse]") {
  const Tensor weight = random_tensor({2, 3, 1, 1}, 1), copy = weight.clone();
  ops::fuse_implicit({weight, {}}, random_tensor({1, 3, 1, 1}, 2), random_tensor({1, 2, 1, 1}, 3));
  CHECK(bit_equal(weight, copy));
}

TEST_CASE("fuse: parameters that do not fit are refused by name", "[ops][fuse]") {
  const Tensor weight = random_tensor({4, 3, 3, 3}, 1);
  BatchNormStats stats = stats_of(4, 2);
  stats.var = Tensor::zeros({5});
  CHECK(error_text([&] {
          ops::fuse_conv_bn({weight, {}}, stats, kEps);
        }) == "fuse: batch norm variance is [5] float32 cpu, expected 4 numbers");
  CHECK(error_text([&] {
          ops::fuse_conv_bn({weight, Tensor::zeros({3})}, stats_of(4, 2), kEps);
        }) == "fuse: bias is [3] float32 cpu, expected 4 numbers");
  CHECK(error_text([&] {
          ops::fuse_implicit({weight, {}}, Tensor::zeros({1, 4, 1, 1}), {});
        }) == "fuse: implicit addend is [1,4,1,1] float32 cpu, expected 3 numbers");
  CHECK(error_text([&] {
          ops::fuse_conv_bn({}, stats, kEps);
        }).starts_with("fuse: weight is undefined tensor, expected a convolution weight"));
  ops::RepConvWeights rep{weight, stats_of(4, 2), random_tensor({4, 3, 1, 1}, 3), stats_of(4, 6),
                          stats_of(4, 9)};
  CHECK(error_text([&] { ops::fuse_repconv(rep, kEps); }) ==
        "fuse: RepConv with an identity branch has weight [4,3,3,3] in 1 groups, expected as many outputs as "
        "inputs");
}

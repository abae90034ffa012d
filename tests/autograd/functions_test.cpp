// Every differentiable function against central differences in f64.
#include "autograd/functions.h"

#include <catch2/catch.hpp>

#include "tests/autograd/gradient_check.h"
#include "tests/ops/op_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;
using autograd::Tape;
using autograd::Var;

namespace {

constexpr double kTolerance = 1e-7;  // h = 1e-5: h^2 of truncation, 1e-16 / h of rounding

using Vars = std::span<const Var>;

Tensor f64(const Shape& shape, uint64_t seed) { return random_tensor(shape, seed, DType::kF64); }

}  // namespace

TEST_CASE("autograd: conv2d with strides, padding, dilation and groups", "[autograd]") {
  const auto check = [](const ops::Conv2d& p, int64_t channels, int64_t outputs) {
    const Tensor x = f64({2, channels, 5, 6}, 1);
    const Tensor w = f64({outputs, channels / p.groups, p.kernel_h, p.kernel_w}, 2);
    CHECK(gradient_error({x, w, f64({outputs}, 3)}, [&](Tape& t, Vars v) {
            return autograd::conv2d(t, v[0], v[1], v[2], p);
          }) < kTolerance);
  };
  check(ops::Conv2d::square(3, 1, 1), 3, 4);
  check(ops::Conv2d::square(3, 2, 1), 2, 3);
  check(ops::Conv2d::square(3, 1, 1, 4), 4, 4);
  check(ops::Conv2d::square(1, 1, 0), 3, 2);
  ops::Conv2d odd{.kernel_h = 1, .kernel_w = 3, .stride_h = 2, .pad_w = 2, .dilation_w = 2, .groups = 2};
  check(odd, 4, 6);
}

TEST_CASE("autograd: batch norm with every activation, by batch and by running statistics", "[autograd]") {
  const auto kind = GENERATE(ops::ActivationKind::kIdentity, ops::ActivationKind::kSilu,
                             ops::ActivationKind::kLeakyRelu, ops::ActivationKind::kHardswish);
  const bool frozen = GENERATE(false, true);
  const ops::BatchNormTrain p{.frozen = frozen, .activation = {kind}};
  INFO(ops::name(kind) << " frozen " << frozen);
  CHECK(gradient_error({f64({2, 3, 3, 2}, 1), f64({3}, 2), f64({3}, 3)}, [&](Tape& t, Vars v) {
          const autograd::RunningStats running{f64({3}, 4), Tensor::full({3}, 0.7, DType::kF64)};
          return autograd::batch_norm(t, v[0], v[1], v[2], running, p);
        }) < kTolerance);
}

TEST_CASE("autograd: activations", "[autograd]") {
  const auto kind =
      GENERATE(ops::ActivationKind::kSilu, ops::ActivationKind::kLeakyRelu, ops::ActivationKind::kSigmoid,
               ops::ActivationKind::kRelu, ops::ActivationKind::kHardswish);
  Tensor x = f64({2, 3, 4, 5}, 1);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] *= 3;  // also beyond hardswish's bends
  INFO(ops::name(kind));
  CHECK(gradient_error({x}, [&](Tape& t, Vars v) { return autograd::activation(t, v[0], {kind}); }) <
        kTolerance);
}

TEST_CASE("autograd: pooling, upsampling, space to depth, head rows", "[autograd]") {
  const Tensor x = f64({2, 6, 4, 6}, 1);
  const auto check = [&](const TapeFunction& f) { CHECK(gradient_error({x}, f) < kTolerance); };
  check([](Tape& t, Vars v) { return autograd::max_pool2d(t, v[0], {2, 2, 0}); });
  check([](Tape& t, Vars v) { return autograd::max_pool2d(t, v[0], {5, 1, 2}); });
  check([](Tape& t, Vars v) { return autograd::upsample(t, v[0], {2}); });
  check([](Tape& t, Vars v) { return autograd::space_to_depth(t, v[0]); });
  check([](Tape& t, Vars v) { return autograd::head_rows(t, v[0], 3); });
}

TEST_CASE("autograd: implicit terms, sums and concats, also of a value with itself", "[autograd]") {
  const Tensor a = f64({2, 3, 2, 4}, 1), b = f64({2, 3, 2, 4}, 2), vector = f64({1, 3, 1, 1}, 3);
  for (const auto kind : {ops::ImplicitKind::kAdd, ops::ImplicitKind::kMul})
    CHECK(gradient_error({a, vector}, [&](Tape& t, Vars v) {
            return autograd::scale_shift(t, v[0], v[1], {kind});
          }) < kTolerance);
  CHECK(gradient_error({a, b}, [](Tape& t, Vars v) { return autograd::add(t, v[0], v[1]); }) < kTolerance);
  CHECK(gradient_error({a}, [](Tape& t, Vars v) { return autograd::add(t, v[0], v[0]); }) < kTolerance);
  CHECK(gradient_error({a, b}, [](Tape& t, Vars v) {
          const Var three[] = {v[0], v[1], v[0]};
          return autograd::concat(t, three);
        }) < kTolerance);
}

TEST_CASE("autograd: cross-stitch units", "[autograd]") {
  const Tensor a = f64({2, 3, 2, 4}, 1), b = f64({2, 3, 2, 4}, 2), c = f64({2, 3, 2, 4}, 3);
  CHECK(gradient_error({a, b, c, f64({3, 3}, 4)}, [](Tape& t, Vars v) {
          return autograd::cross_stitch(t, v.first(3), v[3]);
        }) < kTolerance);
  const Tensor mixed = f64({2, 3}, 5), other = f64({2, 3}, 6);
  CHECK(gradient_error({a, b, mixed, other}, [](Tape& t, Vars v) {  // both heads, one after the other
          const Var units[] = {autograd::cross_stitch(t, v.first(2), v[2]),
                               autograd::cross_stitch(t, v.first(2), v[3])};
          return autograd::cross_stitch(t, units, v[2]);
        }) < kTolerance);
}

TEST_CASE("autograd: values used by several functions collect all gradients, in any nesting", "[autograd]") {
  const Tensor x = f64({1, 4, 4, 4}, 1), w = f64({4, 4, 3, 3}, 2), ones = Tensor::full({4}, 1.2, DType::kF64);
  const auto block = [](Tape& t, Vars v) {
    const autograd::RunningStats running{Tensor::zeros({4}, DType::kF64), Tensor::full({4}, 1, DType::kF64)};
    const ops::BatchNormTrain p{.activation = {ops::ActivationKind::kSilu}};
    const Var y = autograd::conv2d(t, v[0], v[1], {}, ops::Conv2d::square(3, 1, 1));
    const Var u = autograd::batch_norm(t, y, v[2], v[2], running, p);
    const Var sum = autograd::add(t, u, v[0]);  // u and x share a gradient ...
    const Var again = autograd::conv2d(t, u, v[1], {}, ops::Conv2d::square(3, 1, 1));  // ... and take another
    const Var parts[] = {sum, again, u, autograd::max_pool2d(t, sum, {3, 1, 1})};
    const Var all = autograd::concat(t, parts);
    const Var twice = autograd::add(t, all, autograd::activation(t, all, {ops::ActivationKind::kSigmoid}));
    return autograd::head_rows(t, twice, 2);
  };
  CHECK(gradient_error({x, w, ones}, block) < kTolerance);
}

#include "ops/activation.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using ops::Activation;
using ops::ActivationKind;

TEST_CASE("activation: values at the points where the formulas bend", "[ops][activation]") {
  const auto value = [](ActivationKind kind, double x) {
    return ops::activation_reference({kind, 0.25f}, x);
  };
  CHECK(value(ActivationKind::kIdentity, -2) == -2);
  CHECK(value(ActivationKind::kLeakyRelu, -2) == -0.5);
  CHECK(value(ActivationKind::kLeakyRelu, 2) == 2);
  CHECK(value(ActivationKind::kRelu, -2) == 0);
  CHECK(value(ActivationKind::kSigmoid, 0) == 0.5);
  CHECK(value(ActivationKind::kHardswish, -3) == 0);
  CHECK(value(ActivationKind::kHardswish, 3) == 3);
  CHECK(value(ActivationKind::kHardswish, -1) == Approx(-1.0 / 3));
  CHECK(value(ActivationKind::kSilu, 1) == Approx(0.7310585786300049));
}

TEST_CASE("activation: large inputs neither overflow nor turn into NaN", "[ops][activation]") {
  for (const auto kind : {ActivationKind::kSilu, ActivationKind::kSigmoid, ActivationKind::kHardswish}) {
    CHECK(ops::activation_reference({kind}, -1000) == 0);
    CHECK(ops::activation_reference({kind}, 1000) == (kind == ActivationKind::kSigmoid ? 1 : 1000));
  }
}

TEST_CASE("activation: a NaN stays NaN and every layout gives the same bits", "[ops][activation]") {
  OpSetup s;
  Tensor x = random_tensor({2, 3, 5, 1}, 4);
  x.data<float>()[7] = NAN;
  for (const auto kind : {ActivationKind::kIdentity, ActivationKind::kSilu, ActivationKind::kLeakyRelu,
                          ActivationKind::kSigmoid, ActivationKind::kRelu, ActivationKind::kHardswish}) {
    Tensor want = Tensor::empty(x.shape());
    ops::activation_forward(s.ctx, s.impls, x, {kind}, want);
    CHECK(std::isnan(want.data<float>()[7]));
    CHECK(want.data<float>()[3] == float(ops::activation_reference({kind}, double(x.data<float>()[3]))));
    for (Tensor image : layouts(x)) {
      ops::activation_forward(s.ctx, s.impls, image, {kind}, image);  // in place
      CHECK(bit_equal(image, want));
    }
  }
}

TEST_CASE("activation: each kind has its own name", "[ops][activation]") {
  CHECK(ops::name(ActivationKind::kLeakyRelu) == "leaky_relu");
  CHECK(ops::name(ActivationKind::kHardswish) == "hardswish");
}

TEST_CASE("activation: integers and outputs of another shape are refused", "[ops][activation]") {
  OpSetup s;
  Tensor y = Tensor::empty({2});
  const auto run = [&](const Tensor& x) {
    return error_text([&] { ops::activation_forward(s.ctx, s.impls, x, {}, y); });
  };
  CHECK(run(Tensor::zeros({2}, DType::kI32)) ==
        "activation: input is [2] int32 cpu, expected float32 or float64");
  CHECK(run(Tensor::zeros({3})) ==
        "activation: output is [2] float32 cpu, expected [3] float32 for the input [3] float32 cpu");
}

#include "train/optimizer.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::train;
using autograd::ParamGroup;
using autograd::ParamSpec;
using autograd::ParamStore;

namespace {

constexpr double kTolerance = 2e-6;

// One number of each group: norm, weight, bias.
struct Three {
  Context ctx{2};
  ParamStore store{ctx,
                   {{"a.bn.weight", ParamGroup::kNorm, Tensor::from<float>({1.5f}, {1})},
                    {"a.conv.weight", ParamGroup::kWeight, Tensor::from<float>({-0.5f}, {1, 1})},
                    {"b.bias", ParamGroup::kBias, Tensor::from<float>({0.25f}, {1})}},
                   {}};
  double value(const std::string& name) { return store.find(name)->value.to(DType::kF64).data<double>()[0]; }
  void set_gradients(double g) {
    for (auto& p : store.parameters()) p.grad.fill(g);
  }
};

const Rates kRates{.lr = {0.1, 0.2, 0.3}, .momentum = 0.9, .accumulate = 1};

std::vector<float> ramp(int64_t n) {
  std::vector<float> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) v[size_t(i)] = float(std::sin(double(i)));
  return v;
}

}  // namespace

TEST_CASE("train: SGD takes Nesterov's step, the first one with the gradient as momentum") {
  Three t;
  Optimizer sgd(t.ctx, t.store, {.kind = OptimizerKind::kSgd, .weight_decay = 0.01});
  double w = -0.5, v = 0, b = 0.25, u = 0, n = 1.5, m = 0;
  for (const double g : {0.3, -0.7, 0.1}) {
    t.set_gradients(g);
    sgd.step(t.ctx, kRates);
    const double d = g + 0.01 * w;  // decay for the weight alone
    v = 0.9 * v + d;
    w -= 0.2 * (d + 0.9 * v);
    u = 0.9 * u + g;
    b -= 0.3 * (g + 0.9 * u);
    m = 0.9 * m + g;
    n -= 0.1 * (g + 0.9 * m);
  }
  CHECK(t.value("a.conv.weight") == Approx(w).epsilon(kTolerance));
  CHECK(t.value("b.bias") == Approx(b).epsilon(kTolerance));
  CHECK(t.value("a.bn.weight") == Approx(n).epsilon(kTolerance));
  CHECK(sgd.steps() == 3);
}

TEST_CASE("train: Adam adds the decay to the gradient, AdamW takes it off the weight") {
  for (const bool decoupled : {false, true}) {
    Three t;
    Optimizer adam(t.ctx, t.store,
                   {.kind = decoupled ? OptimizerKind::kAdamW : OptimizerKind::kAdam,
                    .weight_decay = 0.05,
                    .beta1 = 0.8});
    double w = -0.5, p = 0, q = 0;
    int k = 0;
    for (const double g : {0.3, -0.7, 0.1}) {
      t.set_gradients(g);
      adam.step(t.ctx, kRates);
      ++k;
      const double d = decoupled ? g : g + 0.05 * w;
      if (decoupled) w *= 1 - 0.2 * 0.05;
      p = 0.8 * p + 0.2 * d;
      q = 0.999 * q + 0.001 * d * d;
      w -= 0.2 * (p / (1 - std::pow(0.8, k))) / (std::sqrt(q / (1 - std::pow(0.999, k))) + 1e-8);
    }
    CHECK(t.value("a.conv.weight") == Approx(w).epsilon(kTolerance));
  }
}

TEST_CASE("train: frozen parameters rest, and a thawed one starts its own count of steps") {
  Three t;
  t.store.find("b.bias")->trainable = false;
  Optimizer adam(t.ctx, t.store, {.kind = OptimizerKind::kAdam});
  t.set_gradients(0.5);
  adam.step(t.ctx, kRates);
  adam.step(t.ctx, kRates);
  CHECK(t.value("b.bias") == 0.25);
  t.store.find("b.bias")->trainable = true;
  adam.step(t.ctx, kRates);  // Adam's first step is the rate, whatever the gradient
  CHECK(t.value("b.bias") == Approx(0.25 - 0.3).margin(1e-7));
}

TEST_CASE("train: the longest prefix of lr_groups scales the rate") {
  Three t;
  Optimizer sgd(t.ctx, t.store, {.weight_decay = 0, .lr_groups = {{"a.", 0.5}, {"a.conv", 0.0}}});
  t.set_gradients(1);
  sgd.step(t.ctx, {.lr = {1, 1, 1}, .momentum = 0, .accumulate = 1});
  CHECK(t.value("a.bn.weight") == Approx(1.0));
  CHECK(t.value("a.conv.weight") == Approx(-0.5));
  CHECK(t.value("b.bias") == Approx(-0.75));
  CHECK_THROWS_WITH(Optimizer(t.ctx, t.store, {.lr_groups = {{"stem", 2.0}}}),
                    Catch::Contains("no parameter begins with 'stem'"));
}

TEST_CASE("train: a gradient that is no number is named, unless its parameter is frozen") {
  Three t;
  const Optimizer sgd(t.ctx, t.store, {});
  CHECK(sgd.first_bad_gradient(t.ctx).empty());
  t.store.find("b.bias")->grad.fill(std::numeric_limits<double>::infinity());
  CHECK(sgd.first_bad_gradient(t.ctx) == "b.bias");
  t.store.find("a.conv.weight")->grad.fill(std::nan(""));
  CHECK(sgd.first_bad_gradient(t.ctx) == "a.conv.weight");
  t.store.find("a.conv.weight")->trainable = false;
  CHECK(sgd.first_bad_gradient(t.ctx) == "b.bias");
}

TEST_CASE("train: an optimizer restored from its state goes on bit for bit, on any number of threads") {
  constexpr int64_t kElements = 100'000;
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    Context one(1), three(3);
    const std::vector<ParamSpec> specs{
        {"w", ParamGroup::kWeight, Tensor::from(ramp(kElements), {kElements})}};
    ParamStore a(one, specs, {}), b(three, specs, {});
    Optimizer first(one, a, {.kind = kind}), second(three, b, {.kind = kind});
    a.find("w")->grad.copy_from(Tensor::from(ramp(kElements), {kElements}));
    b.find("w")->grad.copy_from(a.gradients());
    first.step(one, kRates);
    second.step(three, kRates);
    CHECK(bit_equal(a.values(), b.values()));

    Optimizer third(three, b, {.kind = kind});
    third.restore(first.state());
    CHECK(third.steps() == 1);
    first.step(one, kRates);
    third.step(three, kRates);
    CHECK(bit_equal(a.values(), b.values()));
  }
}

TEST_CASE("train: the state of another optimizer is refused and changes nothing") {
  Three t;
  Optimizer sgd(t.ctx, t.store, {}), adam(t.ctx, t.store, {.kind = OptimizerKind::kAdam});
  CHECK_THROWS_WITH(adam.restore(sgd.state()),
                    Catch::Contains("has no tensor 'optimizer.exp_avg.a.bn.weight'"));
  CHECK_THROWS_WITH(optimizer_by_name("lion"), Catch::Contains("sgd, adam, adamw"));
}

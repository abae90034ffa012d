// Ties between parameters, learned weights of heads and gradient surgery, on numbers made by hand.
#include "train/head_loss.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "tests/support/throws.h"
#include "train/couple_l2.h"

using namespace mtyolo;
using namespace mtyolo::train;
using autograd::ParamGroup;
using autograd::ParamSpec;
using autograd::ParamStore;

namespace {

constexpr int64_t kMany = 100'000;  // several tasks

Tensor random(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape);
  RandomStream stream(seed, 1, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(stream.normal());
  return t;
}

std::vector<ParamSpec> three_alike(int64_t n) {
  return {{"a.w", ParamGroup::kWeight, random({n}, 1)},
          {"b.w", ParamGroup::kWeight, random({n}, 2)},
          {"c.w", ParamGroup::kWeight, random({n}, 3)}};
}

// "t" belongs to both heads, "a" and "b" to one each.
struct TwoHeads {
  Context ctx{2};
  ParamStore store{ctx,
                   {{"t", ParamGroup::kWeight, Tensor::zeros({2})},
                    {"a", ParamGroup::kBias, Tensor::zeros({1})},
                    {"b", ParamGroup::kBias, Tensor::zeros({1})}},
                   {}};
  GradientSurgery surgery{ctx, store, {{"t", "a"}, {"t", "b"}}, 0};

  void head(size_t h, const std::vector<float>& trunk, float own) {
    surgery.begin(h);
    for (int i = 0; i < 2; ++i) store.find("t")->grad.data<float>()[i] += trunk[size_t(i)];
    store.find(h == 0 ? "a" : "b")->grad.data<float>()[0] += own;
    surgery.end(h);
  }
  double grad(const std::string& name, int64_t i = 0) { return store.find(name)->grad.at({i}); }
};

}  // namespace

TEST_CASE("train: the gradient of the ties is the central difference of their value", "[train][heads]") {
  Context ctx(2);
  ParamStore store(ctx, three_alike(8), {});
  const std::vector<models::Coupling> ties{{"a.w", "b.w", 0.3}, {"a.w", "c.w", 0.01}, {"c.w", "b.w", 2}};
  const auto value = [&] { return couple_l2(ctx, store, ties, false); };
  CHECK(couple_l2(ctx, store, ties, true) == value());
  for (autograd::Parameter& p : store.parameters())
    for (int64_t i = 0; i < p.value.numel(); ++i) {
      constexpr float kStep = 1.0f / 64;  // the value is quadratic: any step gives the slope
      float* const w = p.value.data<float>() + i;
      const float kept = *w;
      *w = kept + kStep;
      const double above = value();
      *w = kept - kStep;
      const double slope = (above - value()) / (2 * kStep);
      *w = kept;
      CHECK(p.grad.at({i}) == Approx(slope).epsilon(1e-5).margin(1e-5));
    }
}

TEST_CASE("train: a tie does not move a frozen side, and is the same on any number of threads",
          "[train][heads]") {
  const std::vector<models::Coupling> ties{{"a.w", "b.w", 0.3}, {"a.w", "c.w", 0.01}};
  Context one(1), three(3);
  ParamStore x(one, three_alike(kMany), {}), y(three, three_alike(kMany), {});
  for (ParamStore* s : {&x, &y}) s->find("b.w")->trainable = false;
  CHECK(couple_l2(one, x, ties, true) == couple_l2(three, y, ties, true));
  CHECK(bit_equal(x.gradients(), y.gradients()));
  CHECK(bit_equal(x.find("b.w")->grad, Tensor::zeros({kMany})));
  const double difference = x.find("a.w")->value.at({7}) - x.find("b.w")->value.at({7});
  const double other = x.find("a.w")->value.at({7}) - x.find("c.w")->value.at({7});
  CHECK(x.find("a.w")->grad.at({7}) == Approx(0.6 * difference + 0.02 * other).epsilon(1e-5));
}

TEST_CASE("train: log variances settle where every head's image costs the same", "[train][heads]") {
  LogVariances s(3);
  CHECK(s.factor(0) == 1);
  // First step by hand: the gradient is 1 - items / 0.1, Nesterov's first step is (1 + momentum) times it.
  s.add(0, 0.9, 4), s.add(0, 0.3, 4);
  s.add(1, 0, 0);  // no labelled image
  s.step(0.01, 0.9);
  CHECK(s.value(0) == Approx(-0.01 * 1.9 * (1 - 1.5)));
  CHECK(s.value(1) == 0);
  for (int i = 0; i < 2000; ++i) {
    s.add(0, 8 * 0.05, 8);
    s.add(1, 2 * 3.0, 2);
    s.add(2, 0, 4);  // a loss of nothing: the factor stays bounded
    s.step(0.01, 0.9);
  }
  CHECK(s.value(0) == Approx(std::log(0.05 / 0.1)).epsilon(1e-3));
  CHECK(s.value(1) == Approx(std::log(3.0 / 0.1)).epsilon(1e-3));
  CHECK(s.factor(1) * 3.0 == Approx(0.1).epsilon(1e-3));
  CHECK(s.value(2) == -kLogVarianceLimit);

  models::StateDict state;
  s.save(state);
  LogVariances t(3), u(2);
  t.restore(state);
  for (LogVariances* v : {&s, &t}) {
    v->add(0, 1, 1);
    v->step(0.02, 0.8);
  }
  CHECK(s.value(0) == t.value(0));
  CHECK(s.value(2) == t.value(2));
  u.restore(state);  // of other heads: starts anew
  CHECK(u.value(0) == 0);
  models::StateDict bad;
  bad.add("optimizer.head_loss.log_variance", Tensor::full({2}, std::nan(""), DType::kF64));
  bad.add("optimizer.head_loss.momentum", Tensor::full({2}, 0, DType::kF64));
  CHECK(test::error_code([&] { u.restore(bad); }) == "optimizer_state");
}

TEST_CASE("train: gradient surgery takes away what is against the other head, on shared parameters alone",
          "[train][heads]") {
  TwoHeads two;
  two.head(0, {1, 0}, 5);
  two.head(1, {-1, 1}, -7);
  two.surgery.combine(0);
  // a: (1,0) + 1/2 (-1,1); b: (-1,1) + 1 (1,0).
  CHECK(two.grad("t", 0) == 0.5);
  CHECK(two.grad("t", 1) == 1.5);
  CHECK(two.grad("a") == 5);
  CHECK(two.grad("b") == -7);
  CHECK(two.surgery.take_conflicts() == 1);
  CHECK(two.surgery.take_conflicts() == 0);

  two.surgery.clear();  // a window of two micro-batches: their sums are projected
  two.head(0, {3, 0}, 1);
  two.head(1, {-1, 1}, 1);
  two.head(0, {-1, 2}, 1);
  two.head(1, {2, 1}, 1);
  two.surgery.combine(1);
  CHECK(two.grad("t", 0) == 3);  // (2,2) and (1,2) agree
  CHECK(two.grad("t", 1) == 4);
  CHECK(two.grad("a") == 2);
  CHECK(two.surgery.take_conflicts() == 0);

  two.surgery.clear();  // a head without a gradient
  two.head(0, {1, 2}, 1);
  two.surgery.combine(2);
  CHECK(two.grad("t", 0) == 1);
  CHECK(two.grad("t", 1) == 2);
}

TEST_CASE("train: the order of gradient surgery follows from seed and update", "[train][heads]") {
  const std::vector<std::set<std::string>> all(3, {"a.w"});
  const auto result = [&](uint64_t seed, int64_t update, int threads) {
    Context ctx(threads);
    ParamStore store(ctx, three_alike(kMany), {});
    GradientSurgery surgery(ctx, store, all, seed);
    for (size_t h = 0; h < 3; ++h) {
      surgery.begin(h);
      // Each against both others: about 120 degrees apart, and not quite.
      const double angle = double(h) * 2.0 + 0.3;
      float* const g = store.find("a.w")->grad.data<float>();
      for (int64_t i = 0; i < kMany; ++i) g[i] = float(i % 2 == 0 ? std::cos(angle) : 2 * std::sin(angle));
      surgery.end(h);
    }
    surgery.combine(update);
    return store.gradients().clone();
  };
  const Tensor first = result(1, 0, 1);
  CHECK(bit_equal(first, result(1, 0, 3)));
  int different = 0;
  for (int64_t update = 1; update < 8; ++update) different += !bit_equal(first, result(1, update, 1));
  CHECK(different > 0);
}

TEST_CASE("train: a rule for head losses that does not exist is refused with those that do",
          "[train][heads]") {
  CHECK(head_loss_rule_by_name("pcgrad") == HeadLossRule::kPcgrad);
  CHECK(test::error_text([] { head_loss_rule_by_name("sum"); }) ==
        "no --head-loss 'sum'; there are fixed, learned, pcgrad");
}

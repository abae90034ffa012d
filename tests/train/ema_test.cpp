#include "train/ema.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::train;
using autograd::Buffer;
using autograd::ParamGroup;
using autograd::ParamStore;

namespace {

struct Model {
  Context ctx{2};
  ParamStore store{ctx,
                   {{"w", ParamGroup::kWeight, Tensor::full({70'000}, 1)}},
                   {{"mean", Tensor::full({2}, 3)}, {"count", Tensor::from<int64_t>({5}, {1})}}};
  models::Graph graph;
  Model() {
    using Kind = models::ParamInfo::Kind;
    graph.params = {
        {"mean", {2}, Kind::kBnMean}, {"w", {70'000}, Kind::kConvWeight}, {"count", {1}, Kind::kBnCount}};
  }
};

}  // namespace

TEST_CASE("train: the decay of the averages grows as in the reference") {
  Model m;
  const Ema ema(m.ctx, m.store);
  CHECK(ema.decay_at(1) == Approx(0.00049983).epsilon(1e-4));
  CHECK(ema.decay_at(1000) == Approx(0.39343).epsilon(1e-4));
  CHECK(ema.decay_at(2000) == Approx(0.63206).epsilon(1e-4));
  CHECK(ema.decay_at(10000) == Approx(0.99316).epsilon(1e-4));
}

TEST_CASE("train: averages follow parameters and floating buffers, and leave counters alone") {
  Model m;
  Ema ema(m.ctx, m.store, 0.5, 1);
  double w = 1, mean = 3;
  for (int u = 1; u <= 3; ++u) {
    m.store.find("w")->value.fill(10 * u);
    m.store.find_buffer("mean")->value.fill(-u);
    m.store.find_buffer("count")->value.fill(100);
    ema.update(m.ctx, m.store);
    const double d = 0.5 * (1 - std::exp(-double(u)));
    w = d * w + (1 - d) * 10 * u;
    mean = d * mean - (1 - d) * u;
  }
  const models::StateDict state = ema.state_dict(m.graph);
  CHECK(state.entries()[0].first == "mean");  // the graph's order
  CHECK(state.find("mean")->at({1}) == Approx(mean));
  CHECK(state.find("w")->at({69'999}) == Approx(w));
  CHECK(state.find("count")->at({0}) == 5);
  CHECK(ema.updates() == 3);
}

TEST_CASE("train: restored averages go on, and a tensor that is missing is named") {
  Model m;
  Ema first(m.ctx, m.store), second(m.ctx, m.store);
  m.store.find("w")->value.fill(4);
  first.update(m.ctx, m.store);
  second.restore(first.state_dict(m.graph), first.updates());
  first.update(m.ctx, m.store);
  second.update(m.ctx, m.store);
  CHECK(second.updates() == 2);
  CHECK(bit_equal(*first.state_dict(m.graph).find("w"), *second.state_dict(m.graph).find("w")));
  models::StateDict part;
  part.add("w", Tensor::zeros({3}));
  CHECK(test::error_text([&] { second.restore(part, 0); }).find("'w' of the averaged weights is [3]") !=
        std::string::npos);
  CHECK(test::error_text([&] { second.restore({}, 0); }) == "the averaged weights have no tensor 'w'");
}

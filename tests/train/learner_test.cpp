// What one head's images and losses do to the other's parameters.
#include "train/learner.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "tests/support/throws.h"
#include "tests/train/two_head_learner.h"

using namespace mtyolo;
using namespace mtyolo::train;
using namespace mtyolo::test;

namespace {

constexpr uint64_t kA = 1, kB = 2, kBoth = 3;

bool all_zero(const std::vector<float>& v) {
  return !v.empty() && std::all_of(v.begin(), v.end(), [](float x) { return x == 0; });
}
bool all_finite(const std::vector<float>& v) {
  return std::all_of(v.begin(), v.end(), [](float x) { return std::isfinite(x); });
}
double dot(const std::vector<float>& a, const std::vector<float>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

struct Loss {
  const char* assigner;
  const char* last;
};
const Loss kLosses[] = {
    {"simple", "IDetect @c3,c4"}, {"ota", "IDetect @c3,c4"}, {"", "IAuxDetect @c3,c4,c3,c4"}};

LearnerParams with_rule(HeadLossRule rule) {
  LearnerParams p;
  p.head_loss = rule;
  return p;
}

}  // namespace

TEST_CASE("learner: an image gives no gradient, exactly, to a head it is not labelled for",
          "[train][heads]") {
  for (const Loss& loss : kLosses) {
    INFO(loss.last << " " << loss.assigner);
    LearnerParams params;
    params.assigner = loss.assigner;
    const models::Model model = two_head_model(loss.last);
    // All images of a alone: nothing for b, whatever its targets say.
    TwoHeadLearner one(params, model);
    const BatchLoss of_a = one.accumulate(two_head_batch({kA, kA}));
    CHECK(of_a.heads[0].images == 2);
    CHECK(of_a.heads[1].images == 0);
    CHECK(of_a.heads[1].loss == 0);
    CHECK(all_zero(one.gradients("heads.b.")));
    CHECK(!all_zero(one.gradients("heads.a.")));
    CHECK(all_finite(one.gradients("")));
    // None is labelled for anything: no gradient at all.
    TwoHeadLearner none(params, model);
    CHECK(none.accumulate(two_head_batch({0, 0})).total == 0);
    CHECK(all_zero(none.gradients("")));

    // With statistics that stay, images do not meet: another image without labels changes no bit of b.
    TwoHeadLearner first(params, model), second(params, model), alone(params, model);
    for (TwoHeadLearner* t : {&first, &second, &alone}) t->learner->freeze({}, true);
    data::Batch batch = two_head_batch({kBoth, kA}), changed = batch;
    changed.images = batch.images.clone();
    const int64_t image = batch.images.numel() / 2;
    for (int64_t i = image; i < 2 * image; ++i) changed.images.data<uint8_t>()[i] ^= 0x55;
    for (data::BatchTarget& t : changed.targets)
      if (t.image == 1) t.x = 0.9f - t.x / 2;
    const BatchLoss x = first.accumulate(batch), y = second.accumulate(changed),
                    z = alone.accumulate(two_head_batch({kBoth}));
    CHECK(x.heads[1].loss == y.heads[1].loss);
    CHECK(first.gradients("heads.b.") == second.gradients("heads.b."));
    CHECK(first.gradients("heads.a.") != second.gradients("heads.a."));
    // Its items count the labelled image alone.
    CHECK(x.heads[1].images == 1);
    CHECK(x.heads[1].obj == Approx(z.heads[1].obj).epsilon(1e-6));
    CHECK(x.heads[1].loss == Approx(z.heads[1].loss).epsilon(1e-6));
  }
}

TEST_CASE("learner: weights of heads and classes scale their losses, and unknown ones are refused",
          "[train][heads]") {
  const data::Batch batch = two_head_batch({kBoth, kBoth});
  TwoHeadLearner plain;
  const BatchLoss before = plain.accumulate(batch);
  LearnerParams params;
  params.hyp.head_weights = {{"b", 0.5}};
  TwoHeadLearner weighted(params);
  const BatchLoss after = weighted.accumulate(batch);
  CHECK(after.heads[1].loss == before.heads[1].loss);
  CHECK(after.total == Approx(before.heads[0].loss + 0.5 * before.heads[1].loss));
  CHECK(weighted.gradients("heads.a.") == plain.gradients("heads.a."));
  const std::vector<float> half = weighted.gradients("heads.b."), whole = plain.gradients("heads.b.");
  for (size_t i = 0; i < half.size(); i += 13) CHECK(half[i] == Approx(0.5 * whole[i]).margin(1e-7));

  params.hyp.head_weights = {};
  params.hyp.cls_weights = {1, 3};
  TwoHeadLearner classes(params);
  const BatchLoss third = classes.accumulate(batch);
  CHECK(third.heads[0].loss == before.heads[0].loss);
  CHECK(third.heads[1].cls == Approx(3 * before.heads[1].cls));
  CHECK(third.heads[1].obj == before.heads[1].obj);

  params.hyp.cls_weights = {1};
  CHECK(error_text([&] { TwoHeadLearner bad(params); }) ==
        "cls_weights of --hyp has 1 factors, the data 2 classes");
  params.hyp.cls_weights = {};
  params.hyp.head_weights = {{"bb", 2}};
  CHECK(error_text([&] { TwoHeadLearner bad(params); }) ==
        "head_weights of --hyp names the head 'bb'; there are a, b; did you mean 'b'?");
}

TEST_CASE("learner: a head learns at its own rate", "[train][heads]") {
  const data::Batch batch = two_head_batch({kBoth, kBoth});
  const auto moved = [&](const std::map<std::string, double>& groups, const std::string& name) {
    LearnerParams params;
    params.hyp.lr_groups = groups;
    params.hyp.weight_decay = 0;
    TwoHeadLearner t(params);
    const double start = t.learner->store().find(name)->value.at({2});
    t.accumulate(batch);
    t.update(0.25);
    return t.learner->store().find(name)->value.at({2}) - start;
  };
  const std::string a = "heads.a.model.4.m.0.bias", b = "heads.b.model.4.m.0.bias";
  const double usual = moved({}, a);
  CHECK(usual != 0);
  CHECK(moved({{"heads.a.", 0}}, a) == 0);
  CHECK(moved({{"heads.a.", 3}}, a) == Approx(3 * usual).epsilon(1e-4));
  CHECK(moved({{"heads.a.", 3}}, b) == moved({}, b));
}

TEST_CASE("learner: ties join the gradients once per update, and draw their sides together",
          "[train][heads]") {
  models::Model model = two_head_model();
  constexpr double kStrength = 0.25;
  const std::string a = "heads.a.model.4.m.1.weight", b = "heads.b.model.4.m.1.weight";
  const data::Batch batch = two_head_batch({kBoth, kBoth});
  TwoHeadLearner free_one({}, model);
  model.graph.couplings = {{a, b, kStrength}};
  TwoHeadLearner tied({}, model);
  for (TwoHeadLearner* t : {&free_one, &tied}) {
    for (int i = 0; i < 3; ++i) t->accumulate(batch);
    CHECK(t->learner->close_window() == "");
  }
  CHECK(free_one.learner->head_scalars().empty());
  REQUIRE(tied.learner->head_scalars().size() == 1);
  CHECK(tied.learner->head_scalars()[0].first == "train/couple");
  CHECK(free_one.gradients("model.") == tied.gradients("model."));
  auto& store = tied.learner->store();
  for (int64_t i = 0; i < 40; ++i) {
    const double pull =
        2 * kStrength * (store.find(a)->value.data<float>()[i] - store.find(b)->value.data<float>()[i]);
    CHECK(store.find(a)->grad.data<float>()[i] ==
          Approx(free_one.learner->store().find(a)->grad.data<float>()[i] + pull).margin(1e-5));
    CHECK(store.find(b)->grad.data<float>()[i] ==
          Approx(free_one.learner->store().find(b)->grad.data<float>()[i] - pull).margin(1e-5));
  }
  const double apart = tied.learner->head_scalars()[0].second;
  CHECK(apart > 0.1);
  for (int i = 0; i < 40; ++i) tied.update(0.05);
  CHECK(tied.learner->head_scalars()[0].second < 0.1 * apart);
}

TEST_CASE("learner: gradient surgery works on the shared parameters of a window", "[train][heads]") {
  const data::Batch first = two_head_batch({kBoth, kBoth}, 1), second = two_head_batch({kBoth, kA}, 2);
  // Each head's gradient by itself: the other's images are not labelled. Statistics see the images all the
  // same.
  const auto run = [&](HeadLossRule rule, uint64_t mask, bool recompute, const models::Model& model) {
    LearnerParams params = with_rule(rule);
    params.recompute = recompute;
    auto t = std::make_unique<TwoHeadLearner>(params, model, recompute ? 2 : 1);
    for (data::Batch batch : {first, second}) {
      for (uint64_t& bits : batch.labelled) bits &= mask;
      t->accumulate(batch);
    }
    CHECK(t->learner->close_window() == "");
    return t;
  };
  for (const char* last : {"IDetect @c3,c4", "IAuxDetect @c3,c4,c3,c4"}) {
    const models::Model model = two_head_model(last);
    const auto fixed = run(HeadLossRule::kFixed, kBoth, false, model),
               surgery = run(HeadLossRule::kPcgrad, kBoth, false, model),
               again = run(HeadLossRule::kPcgrad, kBoth, true, model),
               a = run(HeadLossRule::kFixed, kA, false, model),
               b = run(HeadLossRule::kFixed, kB, false, model);
    CHECK(surgery->gradients("") == again->gradients(""));
    CHECK(surgery->gradients("heads.") == fixed->gradients("heads."));
    for (size_t i = 0; i < fixed->learner->store().buffers().size(); ++i)  // statistics move once
      CHECK(bit_equal(fixed->learner->store().buffers()[i].value,
                      surgery->learner->store().buffers()[i].value));
    const std::vector<float> ga = a->gradients("model."), gb = b->gradients("model."),
                             got = surgery->gradients("model.");
    const double ab = std::min(0.0, dot(ga, gb));
    double worst = 0, size = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double want = (ga[i] - ab / dot(gb, gb) * gb[i]) + (gb[i] - ab / dot(ga, ga) * ga[i]);
      worst = std::max(worst, std::abs(got[i] - want));
      size = std::max(size, std::abs(want));
    }
    CHECK(worst < 1e-5 * size);
  }
}

TEST_CASE("learner: with one head every rule is the same", "[train][heads]") {
  models::BuildOptions options;
  options.names = {"red", "blue"};
  const models::Model one = models::model_from_cfg(two_head_model().cfg, 5, options);
  data::Batch batch = two_head_batch({kBoth, kBoth});
  std::vector<float> results[3];
  for (const HeadLossRule rule : {HeadLossRule::kFixed, HeadLossRule::kLearned, HeadLossRule::kPcgrad}) {
    TwoHeadLearner t(with_rule(rule), one);
    t.accumulate(batch);
    t.update();
    for (const autograd::Parameter& p : t.learner->store().parameters())
      results[size_t(rule)].push_back(p.value.data<float>()[0]);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("learner: learned weights scale each head's gradient and are kept in checkpoints",
          "[train][heads]") {
  const data::Batch batch = two_head_batch({kBoth, kA});
  TwoHeadLearner learned(with_rule(HeadLossRule::kLearned)), fixed;
  const BatchLoss first = learned.accumulate(batch);
  CHECK(first.total == fixed.accumulate(batch).total);  // factors of 1
  CHECK(learned.gradients("") == fixed.gradients(""));
  learned.update(0.2);
  const auto scalars = learned.learner->head_scalars();
  REQUIRE(scalars.size() == 2);
  CHECK(scalars[0].first == "train_a/log_variance");
  // Nesterov's first step along 1 - items / 0.1, b's of its one labelled image.
  const auto gradient = [](double items) { return std::max(1 - items / 0.1, -1.0); };
  CHECK(scalars[0].second == Approx(-0.2 * 1.9 * gradient(first.heads[0].loss / 2)));
  CHECK(scalars[1].second == Approx(-0.2 * 1.9 * gradient(first.heads[1].loss)));
  const BatchLoss second = learned.accumulate(batch);
  const double a = scalars[0].second, b = scalars[1].second;
  CHECK(second.total == Approx(std::exp(-a) * second.heads[0].loss + 0.2 * a +
                               std::exp(-b) * second.heads[1].loss + 0.1 * b));

  models::Checkpoint kept;
  learned.learner->clear_gradients();
  learned.learner->save(kept);
  TwoHeadLearner other(with_rule(HeadLossRule::kLearned));
  other.learner->restore(kept);
  for (TwoHeadLearner* t : {&learned, &other}) {
    t->learner->keep_statistics();
    t->accumulate(batch);
    t->update(0.1);
  }
  CHECK(other.learner->head_scalars() == learned.learner->head_scalars());
  CHECK(bit_equal(other.learner->store().values(), learned.learner->store().values()));
}

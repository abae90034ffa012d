#include "train/losses/loss.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/support/throws.h"
#include "tests/train/loss_problem.h"

using namespace mtyolo;
using namespace mtyolo::train;
using test::LossProblem;

namespace {

const std::vector<std::string> kNames{"simple", "ota", "aux_ota"};

LossResult run(const std::string& name, const LossProblem& p, const LossParams& params = {},
               int threads = 2) {
  Context ctx(threads);
  return find_loss(name)(ctx, p.head, params, p.input());
}

double sum_of_absolutes(const Tensor& t) {
  const Tensor v = t.to(DType::kF64).contiguous();
  double sum = 0;
  for (int64_t i = 0; i < v.numel(); ++i) sum += std::abs(v.data<double>()[i]);
  return sum;
}

bool all_finite(const LossResult& r) {
  bool finite = std::isfinite(r.loss);
  for (const Tensor& g : r.grads) finite = finite && std::isfinite(sum_of_absolutes(g));
  return finite;
}

// Compares gradients with central differences at every element that a match touches, and some others.
void check_gradients(const std::string& name, LossProblem& p, const LossParams& params) {
  constexpr double kStep = 1e-5;
  const LossResult at = run(name, p, params, 1);
  int compared = 0;
  for (auto* maps : {&p.levels, &p.aux}) {
    const auto& grads = maps == &p.levels ? at.grads : at.aux_grads;
    for (size_t level = 0; level < grads.size(); ++level) {
      double* z = (*maps)[level].data<double>();
      const double* g = grads[level].data<double>();
      for (int64_t i = 0; i < grads[level].numel(); ++i) {
        const bool matched = g[i] != 0 && i % (5 + p.head.nc) != 4;
        if (!matched && i % 97 != 0) continue;
        const double kept = z[i];
        z[i] = kept + kStep;
        const double above = run(name, p, params, 1).loss;
        z[i] = kept - kStep;
        const double below = run(name, p, params, 1).loss;
        z[i] = kept;
        const double slope = (above - below) / (2 * kStep);
        if (std::abs(slope - g[i]) > 1e-8 + 1e-5 * std::abs(slope)) {
          INFO(name << " level " << level << " element " << i);
          CHECK(g[i] == Approx(slope));
        }
        ++compared;
      }
    }
  }
  CHECK(compared > 100);
}

}  // namespace

TEST_CASE("train: gradients of the losses are the central differences of their values") {
  // With gr = 0 the objectness targets, which no gradient passes, are constants; so is CIoU's weight of the
  // aspect, whose gradients the golden cases hold.
  LossParams params{.gr = 0, .class_weights = {1, 2, 0.5}};
  params.label_smoothing = 0.1;
  params.cls_pw = 1.5;
  params.obj_pw = 0.7;
  const IouKind kinds[] = {IouKind::kIou, IouKind::kGiou, IouKind::kDiou};
  for (size_t i = 0; i < kNames.size(); ++i) {
    LossProblem p(2, 64, 96, 3, 4, 5 + i);
    params.iou = kinds[i];
    params.fl_gamma = i == 1 ? 0 : 1.5;
    check_gradients(kNames[i], p, params);
  }
}

TEST_CASE("train: losses are equal bit for bit on any number of threads") {
  const LossProblem p(3, 160, 160, 5, 60, 1);
  for (const std::string& name : kNames) {
    const LossResult one = run(name, p, {}, 1), three = run(name, p, {}, 3);
    CHECK(one.loss == three.loss);
    for (size_t i = 0; i < one.grads.size(); ++i) CHECK(bit_equal(one.grads[i], three.grads[i]));
  }
}

TEST_CASE("train: an image that is not labelled is as good as absent") {
  LossProblem p(3, 96, 64, 4, 20, 2);
  const std::vector<uint8_t> labelled{1, 0, 1};
  for (const std::string& name : kNames) {
    LossInput all = p.input();
    all.labelled = labelled;
    Context ctx(2);
    const LossResult with = find_loss(name)(ctx, p.head, {}, all);

    LossProblem two = p;
    two.targets.clear();
    for (Target t : p.targets) {
      if (t.image == 1) continue;
      t.image /= 2;
      two.targets.push_back(t);
    }
    for (auto* maps : {&two.levels, &two.aux})
      for (Tensor& map : *maps) {
        Tensor kept = Tensor::empty({2, map.size(1), map.size(2), map.size(3), map.size(4)}, DType::kF64);
        kept.slice(0, 0, 1).copy_from(map.slice(0, 0, 1));
        kept.slice(0, 1, 2).copy_from(map.slice(0, 2, 3));
        map = kept;
      }
    const LossResult without = run(name, two);
    CHECK(with.loss == Approx(without.loss).epsilon(1e-12));
    CHECK(sum_of_absolutes(with.grads[0].slice(0, 1, 2)) == 0);
    CHECK(sum_of_absolutes(with.grads[0].slice(0, 2, 3)) ==
          Approx(sum_of_absolutes(without.grads[0].slice(0, 1, 2))).epsilon(1e-12));
  }
  LossInput none = p.input();
  const std::vector<uint8_t> nothing{0, 0, 0};
  none.labelled = nothing;
  Context ctx(1);
  const LossResult r = find_loss("ota")(ctx, p.head, {}, none);
  CHECK(r.loss == 0);
  CHECK(sum_of_absolutes(r.grads[0]) == 0);
}

TEST_CASE("train: without a match only objectness is left") {
  LossProblem p(2, 64, 64, 3, 0, 3);
  for (const std::string& name : kNames) {
    const LossResult r = run(name, p);
    CHECK(r.box == 0);
    CHECK(r.cls == 0);
    CHECK(r.obj > 0);
    CHECK(r.loss == Approx(2 * r.obj));
    const Tensor xy = r.grads[0].slice(4, 0, 4), classes = r.grads[0].slice(4, 5, 8);
    CHECK(sum_of_absolutes(xy) + sum_of_absolutes(classes) == 0);
  }
}

TEST_CASE("train: targets without area are left out, and no logit makes a nan") {
  LossProblem p(2, 64, 64, 3, 6, 4);
  const LossProblem clean = p;
  const float inf = std::numeric_limits<float>::infinity();
  for (const Target& bad :
       {Target{0, 0, 0.5f, 0.5f, 0, 0.3f}, Target{1, 1, 0.5f, 0.5f, 0.3f, -0.1f},
        Target{1, 2, inf, 0.5f, 0.3f, 0.1f}, Target{0, 2, 0.5f, 0.5f, std::nanf(""), 0.1f}})
    p.targets.push_back(bad);
  for (const std::string& name : kNames) CHECK(run(name, p).loss == run(name, clean).loss);
  p.targets.push_back({0, 1, 1e30f, -1e30f, 0.2f, 0.2f});  // far outside: cells are clamped
  p.targets.push_back({0, 1, 0.5f, 0.5f, 1e-30f, 1e-30f});
  for (const double logit : {-1e4, -20.0, 0.0, 20.0, 1e4}) {
    for (auto* maps : {&p.levels, &p.aux})
      for (Tensor& map : *maps) map.fill(logit);
    for (const std::string& name : kNames)
      for (const double gamma : {0.0, 1.5}) CHECK(all_finite(run(name, p, {.fl_gamma = gamma})));
  }
}

TEST_CASE("train: a head of one class learns its class column only where the score uses it") {
  LossProblem p(2, 64, 64, 1, 6, 6);
  CHECK(run("simple", p).cls == 0);
  CHECK(sum_of_absolutes(run("simple", p).grads[0].slice(4, 5, 6)) == 0);
  p.head.score_is_objectness = false;
  CHECK(run("simple", p).cls > 0);
}

TEST_CASE("train: validation makes no gradients, and a map that does not fit is refused") {
  LossProblem p(1, 64, 64, 2, 3, 7);
  LossInput in = p.input();
  in.want_gradients = false;
  Context ctx(1);
  const LossResult r = find_loss("simple")(ctx, p.head, {}, in);
  CHECK(r.grads.empty());
  CHECK(r.loss == run("simple", p).loss);
  CHECK(test::error_text([] { find_loss("iou"); }) == "no loss 'iou'; there are simple, ota, aux_ota");
  p.targets[0].cls = 2;
  CHECK(test::error_text([&] { run("ota", p); }).find("there are 1 images and 2 classes") !=
        std::string::npos);
  p.head.nc = 3;
  CHECK(test::error_text([&] { run("ota", p); }).find("expected [1,3,ny,nx,8]") != std::string::npos);
}

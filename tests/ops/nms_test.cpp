#include "ops/nms.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using ops::Detection;
using ops::NmsParams;

namespace {

Tensor predictions(const std::vector<std::vector<float>>& rows) {
  std::vector<float> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return Tensor::from(flat, {int64_t(rows.size()), int64_t(rows.at(0).size())});
}

// Random boxes that overlap often; scores of few values make ties.
std::vector<Detection> crowd(int count, int classes, uint64_t seed) {
  RandomStream r(seed, 0, 0);
  std::vector<Detection> all;
  for (int i = 0; i < count; ++i) {
    const auto x = float(r.below(60)), y = float(r.below(60));
    all.push_back({x, y, x + float(r.below(30)), y + float(r.below(30)), float(r.below(40)) / 40,
                   int(r.below(classes)), 0});
  }
  return all;
}

float iou(const Detection& a, const Detection& b) {
  const float w = std::max(0.0f, std::min(a.x2, b.x2) - std::max(a.x1, b.x1));
  const float h = std::max(0.0f, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
  const float area_a = (a.x2 - a.x1) * (a.y2 - a.y1), area_b = (b.x2 - b.x1) * (b.y2 - b.y1);
  return w * h / (area_a + area_b - w * h);
}

// The definition: visit by score, keep what no kept box of the class covers.
std::vector<Detection> greedy(std::vector<Detection> all, const NmsParams& p) {
  std::vector<std::pair<float, size_t>> order;  // ties keep the order of the input
  for (size_t i = 0; i < all.size(); ++i) order.emplace_back(-all[i].confidence, i);
  std::sort(order.begin(), order.end());
  std::vector<Detection> sorted;
  for (const auto& [score, i] : order) sorted.push_back(all[i]);
  all = std::move(sorted);
  if (all.size() > size_t(p.max_nms)) all.resize(size_t(p.max_nms));
  std::vector<Detection> kept;
  for (const Detection& d : all) {
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](const Detection& k) {
      return (p.agnostic || k.class_id == d.class_id) && double(iou(k, d)) > p.iou_thres;
    });
    if (!covered && kept.size() < size_t(p.max_det)) kept.push_back(d);
  }
  return kept;
}

bool equal(const std::vector<Detection>& a, const std::vector<Detection>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Detection& p, const Detection& q) {
    return p.x1 == q.x1 && p.y1 == q.y1 && p.x2 == q.x2 && p.y2 == q.y2 && p.confidence == q.confidence &&
           p.class_id == q.class_id;
  });
}

}  // namespace

TEST_CASE("nms: crowds with ties are thinned as by the definition", "[ops][nms]") {
  const int classes = GENERATE(1, 4, 80);
  NmsParams p;
  p.agnostic = GENERATE(true, false);
  p.iou_thres = GENERATE(0.0, 0.3, 0.6, 1.0);
  p.max_det = GENERATE(5, 10000);
  p.max_nms = GENERATE(400, 1100, 30000);
  const auto all = crowd(1200, classes, 9);
  CHECK(equal(ops::nms_select(all, p), greedy(all, p)));
}

TEST_CASE("nms: of a flood of candidates the best are found, ties included", "[ops][nms]") {
  NmsParams p{.conf_thres = 0, .iou_thres = 1, .multi_label = true, .max_det = 500};
  p.max_nms = GENERATE(300, 1000, 30000);
  const int rows = 900, classes = 80;  // 72,000 candidates
  RandomStream r(3, 0, 0);
  std::vector<std::vector<float>> values;
  std::vector<Detection> all;
  for (int i = 0; i < rows; ++i) {
    auto& row = values.emplace_back(std::vector<float>{float(i), 0, 2, 2, 1});
    for (int c = 0; c < classes; ++c) {
      row.push_back(float(1 + r.below(999)) / 1024);
      all.push_back({float(i - 1), -1, float(i + 1), 1, row.back(), c, 0});
    }
  }
  CHECK(equal(ops::nms(predictions(values), p), greedy(all, p)));
}

TEST_CASE("nms: both thresholds are strict", "[ops][nms]") {
  NmsParams p{.conf_thres = 0.25f, .iou_thres = 0.5};
  // IoU of the first two boxes is exactly 1/2; the third has the threshold as its score, the fourth as
  // objectness.
  const Tensor t = predictions({{10, 10, 20, 20, 1, 0.9f, 0},
                                {10, 15, 20, 10, 1, 0.8f, 0},
                                {90, 90, 9, 9, 1, 0.25f, 0},
                                {50, 50, 9, 9, 0.25f, 1, 0}});
  CHECK(ops::nms(t, p).size() == 2);
  p.iou_thres = 0.49;
  CHECK(ops::nms(t, p).size() == 1);
  p.conf_thres = 0.24f;
  CHECK(ops::nms(t, p).size() == 3);
}

TEST_CASE("nms: an IoU of three fifths is above 0.6 because f32 rounds it up", "[ops][nms]") {
  const std::vector<Detection> pair{{0, 0, 10, 10, 0.9f, 0, 0}, {0, 0, 10, 6, 0.8f, 0, 0}};
  NmsParams p{.iou_thres = 0.6};
  CHECK(ops::nms_select(pair, p).size() == 1);
  p.iou_thres = double(0.6f);
  CHECK(ops::nms_select(pair, p).size() == 2);
}

TEST_CASE("nms: confidence is objectness times class score, or objectness alone with one class",
          "[ops][nms]") {
  const Tensor two = predictions({{10, 20, 4, 6, 0.5f, 0.25f, 0.75f}});
  const auto best = ops::nms(two, {.conf_thres = 0.1f});
  REQUIRE(best.size() == 1);
  CHECK(best[0].confidence == 0.375f);
  CHECK(best[0].class_id == 1);
  CHECK(best[0].x1 == 8);
  CHECK(best[0].y2 == 23);
  const Tensor one = predictions({{10, 20, 4, 6, 0.5f, 0.25f}});
  CHECK(ops::nms(one, {.conf_thres = 0.1f}).at(0).confidence == 0.5f);
  CHECK(ops::nms(one, {.conf_thres = 0.1f, .one_class_score_is_objectness = false}).at(0).confidence ==
        0.125f);
}

TEST_CASE("nms: multi-label takes every class above the threshold, else the first best", "[ops][nms]") {
  const Tensor t = predictions({{10, 20, 4, 6, 1, 0.5f, 0.1f, 0.5f}});
  CHECK(ops::nms(t, {}).at(0).class_id == 0);
  const auto many = ops::nms(t, {.multi_label = true});
  REQUIRE(many.size() == 2);
  CHECK(many[0].class_id == 0);
  CHECK(many[1].class_id == 2);
}

TEST_CASE("nms: ids are mapped and filtered after the best class was chosen", "[ops][nms]") {
  const Tensor t = predictions({{10, 20, 4, 6, 1, 0.5f, 0.4f}});
  const std::vector<int> ids{7, 3};
  std::vector<Detection> out;
  ops::nms_candidates(t, {.classes = {3}}, ids, 1, out);
  CHECK(out.empty());  // the best class is 7, and it is not asked for
  ops::nms_candidates(t, {.classes = {7}}, ids, 1, out);
  ops::nms_candidates(t, {.multi_label = true, .classes = {3}}, ids, 2, out);
  REQUIRE(out.size() == 2);
  CHECK((out[0].class_id == 7 && out[0].head == 1));
  CHECK((out[1].class_id == 3 && out[1].head == 2));
}

TEST_CASE("nms: rows that are not finite are dropped and the others stay", "[ops][nms]") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (size_t column = 0; column < 7; ++column)
    for (const float bad : {nan, inf, -inf}) {
      std::vector<float> row{10, 10, 5, 5, 0.9f, 0.9f, 0.9f};
      row[column] = bad;
      CHECK(ops::nms(predictions({row, {50, 50, 5, 5, 0.9f, 0.9f, 0}}), {.multi_label = true}).size() == 1);
    }
  CHECK(ops::nms(predictions({{3e38f, 0, 3e38f, 1, 1, 1, 1}}), {}).empty());  // its right edge overflows
}

TEST_CASE("nms: boxes of different classes never meet, however large or far out", "[ops][nms]") {
  const std::vector<Detection> far{{0, 0, 9000, 9000, 0.9f, 0, 0},
                                   {0, 0, 9000, 9000, 0.8f, 1, 0},
                                   {-5000, 0, -4000, 100, 0.7f, 1, 0},
                                   {-904, 0, 96, 100, 0.6f, 0, 0}};
  CHECK(ops::nms_select(far, {}).size() == 4);
  CHECK(ops::nms_select(far, {.agnostic = true}).size() == 3);
}

TEST_CASE("nms: boxes without area suppress nothing", "[ops][nms]") {
  const std::vector<Detection> points(3, Detection{5, 5, 5, 5, 0.9f, 0, 0});
  CHECK(ops::nms_select(points, {}).size() == 3);
}

TEST_CASE("nms: strided predictions give the same detections", "[ops][nms]") {
  Tensor t = random_tensor({200, 9}, 1);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = std::abs(t.data<float>()[i]);
  const auto want = ops::nms(t, {.multi_label = true});
  REQUIRE(want.size() > 20);
  CHECK(equal(ops::nms(with_gaps(t), {.multi_label = true}), want));
  CHECK(equal(ops::nms(t.permute({1, 0}).contiguous().permute({1, 0}), {.multi_label = true}), want));
}

TEST_CASE("nms: no row, no room and no budget give an empty result", "[ops][nms]") {
  CHECK(ops::nms(Tensor::zeros({0, 85}), {}).empty());
  const auto all = crowd(50, 2, 1);
  CHECK(ops::nms_select(all, {.max_det = 0}).empty());
  CHECK(ops::nms_select(all, {.max_nms = 0}).empty());
  CHECK(ops::nms_select(all, {.max_det = -1}).empty());
}

TEST_CASE("nms: predictions of the wrong shape or type are refused", "[ops][nms]") {
  CHECK(error_text([] {
          ops::nms(Tensor::zeros({1, 10, 85}), {});
        }) == "nms: predictions are [1,10,85] float32 cpu, expected [rows, 5 + classes] float32");
  CHECK(error_text([] {
          ops::nms(Tensor::zeros({10, 5}), {});
        }) == "nms: predictions are [10,5] float32 cpu, expected [rows, 5 + classes] float32");
  CHECK(error_text([] {
          ops::nms(Tensor::zeros({10, 7}, DType::kF16), {});
        }) == "nms: predictions are [10,7] float16 cpu, expected [rows, 5 + classes] float32");
  std::vector<Detection> out;
  const std::vector<int> ids{0};
  CHECK(error_text([&] {
          ops::nms_candidates(Tensor::zeros({10, 7}), {}, ids, 0, out);
        }) == "nms: 1 class ids for predictions [10,7] float32 cpu");
}

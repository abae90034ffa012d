#include "train/metrics.h"

#include <catch2/catch.hpp>

#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/train/coco_files.h"
#include "train/metrics_report.h"

using namespace mtyolo;
using namespace mtyolo::test;
using namespace mtyolo::train;

namespace {

constexpr double kTight = 1e-12;

ScoredBox found(double x, double side, float score, int cls = 0) {
  return {x, 0, x + side, side, score, cls};
}
TruthBox truth(double x, double side, int cls = 0) { return {x, 0, x + side, side, cls, -1, false}; }

// Two objects; a hit at 0.9, a miss at 0.8, a hit at 0.7, all boxes exact.
std::vector<ImageResult> hit_miss_hit() {
  return {{{found(0, 50, 0.9f), found(500, 50, 0.8f), found(200, 50, 0.7f)}, {truth(0, 50), truth(200, 50)}}};
}

}  // namespace

TEST_CASE("metrics: yolov7's AP is the area under the envelope, sampled at 101 recalls") {
  // Precision 1 up to recall 0.5, 2/3 from there on; the sample at 0.5 is 2/3 already.
  const double to_half = 0.49 + 0.01 * (1 + 2.0 / 3) / 2;
  const Metrics v5 = yolo_metrics(hit_miss_hit(), 1, ApRule::kV5);
  REQUIRE(v5.classes.size() == 1);
  CHECK(v5.map50 == Approx(to_half + 0.49 * 2 / 3 + 0.01 * (2.0 / 3) / 2).margin(kTight));
  CHECK(v5.map50_95 == Approx(v5.map50).margin(kTight));
  CHECK(yolo_metrics(hit_miss_hit(), 1).map50 == Approx(to_half + 0.5 * 2 / 3).margin(kTight));
  CHECK(v5.labels == 2);
  CHECK(v5.images == 1);
}

TEST_CASE("metrics: P and R are those of the confidence with the best mean F1") {
  const Metrics m = yolo_metrics(hit_miss_hit(), 1);
  // Below 0.7 all three count: P 2/3, R 1, F1 0.8; that is the best, and the first point of it is 0.
  CHECK(m.confidence == 0);
  CHECK(m.precision == Approx(2.0 / 3));
  CHECK(m.recall == Approx(1));
  CHECK(m.classes[0].f1 == Approx(0.8));
  CHECK(m.curves.precision[0][999] == 1);  // above the highest confidence
  CHECK(m.curves.recall[0][999] == 0);
}

TEST_CASE("metrics: a detection whose best object is taken is wrong, and other classes do not count") {
  const ImageResult image{{found(0, 100, 0.9f), found(10, 100, 0.8f), found(200, 100, 0.7f, 1)},
                          {truth(0, 100), truth(25, 100), truth(200, 100)}};
  const auto matches = match_detections(image);
  CHECK(matches[0] == 0x3ff);
  CHECK(matches[1] == 0);  // IoU 0.82 with the first object, 0.74 with the free one
  CHECK(matches[2] == 0);
}

TEST_CASE("metrics: thresholds are strict, and crowds take no part in yolov7's rule") {
  ImageResult image{{found(0, 100, 0.9f)}, {{0, 0, 100, 50, 0, -1, false}}};  // IoU 0.5
  CHECK(match_detections(image)[0] == 0);
  image.truth = {{0, 0, 100, 61, 0, -1, false}};
  CHECK(match_detections(image)[0] == 0b111);
  image.truth[0].crowd = true;
  CHECK(match_detections(image)[0] == 0);
  CHECK(yolo_metrics({image}, 1).classes.empty());
}

TEST_CASE("metrics: a head's means are those of its classes that occur") {
  std::vector<ImageResult> images = hit_miss_hit();
  images.push_back({{}, {truth(0, 10, 2)}});
  const Metrics all = yolo_metrics(images, 4);
  CHECK(all.classes.size() == 2);
  CHECK(all.map50 == Approx(yolo_metrics(hit_miss_hit(), 1).map50 / 2));
  const Metrics head = restrict_to(all, {2, 3});
  CHECK(head.classes.size() == 1);
  CHECK(head.map50 == 0);
  CHECK(head.labels == 1);
  CHECK(head.images == 2);
  CHECK(head.curves.pr.size() == 1);
  CHECK(restrict_to(all, {0, 1}).map50 == Approx(all.map50 * 2));
  CHECK(restrict_to(all, {1, 3}).map50 == 0);
}

TEST_CASE("metrics: COCO's numbers of its own sample are those of pycocotools") {
  const auto folder = shared_folder() / "data" / "coco-eval-fakebbox100";
  if (!std::filesystem::exists(folder)) MTYOLO_SKIP("no shared data");
  const CocoCase c = read_coco_case(folder / "instances_val2014_100.json",
                                    folder / "instances_val2014_fakebbox100_results.json");
  const CocoMetrics m = coco_metrics(c.images, int(c.categories.size()));
  const auto want =
      nlohmann::json::parse(read_file((folder / "expected_bbox.json").string(), size_t(1) << 20));
  const std::pair<const char*, double> numbers[] = {
      {"AP", m.ap},         {"AP50", m.ap50},    {"AP75", m.ap75},     {"APs", m.ap_small},
      {"APm", m.ap_medium}, {"APl", m.ap_large}, {"AR1", m.ar1},       {"AR10", m.ar10},
      {"AR100", m.ar100},   {"ARs", m.ar_small}, {"ARm", m.ar_medium}, {"ARl", m.ar_large}};
  for (const auto& [name, value] : numbers) {
    INFO(name);
    CHECK(value == Approx(double(want.at("summary").at(name))).margin(1e-9));
  }
  for (size_t k = 0; k < c.categories.size(); ++k) {
    const std::string id = std::to_string(c.categories[k]);
    INFO("category " << id);
    if (!want.at("per_category").contains(id)) {
      CHECK(m.classes[k].ap == -1);
      continue;
    }
    CHECK(m.classes[k].ap == Approx(double(want["per_category"][id]["AP"])).margin(1e-9));
    CHECK(m.classes[k].ap50 == Approx(double(want["per_category"][id]["AP50"])).margin(1e-9));
  }
}

TEST_CASE("metrics: COCO takes the precision of the next point, without interpolation") {
  const CocoMetrics m = coco_metrics(hit_miss_hit(), 1);
  CHECK(m.ap50 == Approx((51 + 50 * 2.0 / 3) / 101).margin(kTight));  // 0.5 itself has precision 1
  CHECK(m.ar100 == 1);
  CHECK(m.ar1 == 0.5);
  CHECK(m.ap_small == -1);
  CHECK(m.ap_medium == Approx(m.ap));
}

TEST_CASE("metrics: COCO ignores what falls on a crowd, again and again") {
  ImageResult image{{found(0, 50, 0.9f), found(10, 50, 0.8f), found(0, 10, 0.7f), found(300, 50, 0.6f)},
                    {{0, 0, 200, 200, 0, -1, true}, truth(300, 50)}};
  CHECK(coco_metrics({image}, 1).ap == 1);
  image.truth[0].crowd = false;
  CHECK(coco_metrics({image}, 1).ap < 0.2);
}

TEST_CASE("metrics: COCO's area ranges hold both ends, and the file's area wins over the box's") {
  const auto sizes = [](const TruthBox& t) {
    const CocoMetrics m = coco_metrics({{{{t.x1, t.y1, t.x2, t.y2, 0.5f, 0}}, {t}}}, 1);
    return std::array<double, 3>{m.ap_small, m.ap_medium, m.ap_large};
  };
  CHECK(sizes(truth(0, 32)) == std::array<double, 3>{1, 1, -1});
  CHECK(sizes(truth(0, 96)) == std::array<double, 3>{-1, 1, 1});
  TruthBox t = truth(0, 32);
  t.area = 1e4;
  CHECK(sizes(t) == std::array<double, 3>{-1, -1, 1});
}

TEST_CASE("metrics: nothing found is 0, nothing to find is 0 for yolov7 and -1 for COCO") {
  const std::vector<ImageResult> blind{{{}, {truth(0, 50)}}}, empty{{{found(0, 50, 0.5f)}, {}}};
  CHECK(yolo_metrics(blind, 1).fitness() == 0);
  CHECK(yolo_metrics(blind, 1).classes.size() == 1);
  CHECK(coco_metrics(blind, 1).ap == 0);
  CHECK(yolo_metrics(empty, 1).map50 == 0);
  CHECK(coco_metrics(empty, 1).ap == -1);
  CHECK(yolo_metrics({}, 2).precision == 0);
}

TEST_CASE("metrics: the confusion matrix is [predicted][true] and counts every image") {
  const std::vector<ImageResult> images{
      {{found(0, 100, 0.9f, 1), found(300, 100, 0.8f, 0)}, {truth(0, 100, 0)}},  // a confusion, a false one
      {{found(0, 100, 0.9f, 1)}, {}},
      {{found(0, 100, 0.25f, 0)}, {truth(0, 100, 0)}},  // too low a score: missed
      {{}, {truth(0, 100, 1), {0, 0, 9, 9, 1, -1, true}}}};
  const ConfusionMatrix m = confusion_matrix(images, 2);
  CHECK(m.counts == std::vector<int64_t>{0, 0, 1,    // predicted 0
                                         1, 0, 1,    // predicted 1
                                         1, 1, 0});  // missed
  CHECK(m.at(1, 0) == 1);
}

TEST_CASE("metrics: the report has rows for all, heads and classes by the metric asked for") {
  std::vector<ImageResult> images = hit_miss_hit();
  images.push_back({{}, {truth(0, 10, 2)}, 0b10});  // labelled for head b alone
  const std::vector<data::HeadCfg> heads{{"a", {0, 1}, 1}, {"b", {2}, 1}};
  const MetricsReport r = report_metrics(images, MetricKind::kCoco, {"cat", "dog", "cow"}, heads);
  const CocoMetrics coco = coco_metrics(images, 3);
  CHECK(r.all.map50 == coco.ap50);
  CHECK(r.heads.at(0).map50 == coco.classes[0].ap50);
  CHECK(r.heads.at(1).map50 == 0);
  CHECK(r.heads.at(0).images + 1 == r.heads.at(1).images);
  CHECK(r.heads.at(1).images == int64_t(images.size()));
  CHECK(r.classes.at(1).name == "cow");
  CHECK(r.classes.at(1).head == "b");

  const auto d = metrics_document(r, {1, 2, 3});
  CHECK(d.at("kind") == "metrics");
  CHECK(d.at("all").at("labels") == 3);
  CHECK(d.at("all").at("large") == -1);
  CHECK(d.at("heads").at("a").at("mAP75") == r.heads[0].map75);
  CHECK(d.at("classes").at(0).at("name") == "cat");
  CHECK(d.at("speed_ms").at("postprocess") == 3);
  const std::string table = metrics_table(r, false);
  CHECK(table.find("head:b") != std::string::npos);
  CHECK(table.find("cow") == std::string::npos);
  CHECK(metrics_table(r, true).find("cow") != std::string::npos);

  const MetricsReport v7 = report_metrics(images, MetricKind::kV7, {"cat", "dog", "cow"}, {});
  CHECK(v7.heads.empty());
  CHECK(v7.all.map50 == yolo_metrics(images, 3).map50);
  CHECK(metrics_document(v7, {}).at("all").at("small").is_null());
}

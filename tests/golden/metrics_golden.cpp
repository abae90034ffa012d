#include "tests/golden/kinds.h"
#include "tests/train/coco_files.h"
#include "train/metrics.h"

namespace mtyolo::test {
namespace {

using nlohmann::json;

// The boxes of the tensors; crowds are ordinary boxes there.
std::vector<train::ImageResult> native_images(const GoldenCase& c) {
  std::vector<train::ImageResult> images(c.info.at("images").get<size_t>());
  const Tensor &d = c.tensor("detections"), &t = c.tensor("targets");
  for (int64_t i = 0; i < d.size(0); ++i)
    images.at(size_t(d.at({i, 0})))
        .found.push_back(
            {d.at({i, 1}), d.at({i, 2}), d.at({i, 3}), d.at({i, 4}), float(d.at({i, 5})), int(d.at({i, 6}))});
  for (int64_t i = 0; i < t.size(0); ++i)
    images.at(size_t(t.at({i, 0})))
        .truth.push_back(
            {t.at({i, 2}), t.at({i, 3}), t.at({i, 4}), t.at({i, 5}), int(t.at({i, 1})), -1, false});
  return images;
}

void expect_near(const std::string& what, double got, double want, double tolerance) {
  expect(std::abs(got - want) <= tolerance, "{}: {}, expected {}", what, got, want);
}

void check_matches(const GoldenCase& c, const std::vector<train::ImageResult>& images) {
  const Tensor& tp = c.tensor("tp");
  const Tensor& d = c.tensor("detections");
  std::vector<std::vector<uint16_t>> got;
  for (const auto& image : images) got.push_back(train::match_detections(image));
  std::vector<size_t> at(images.size(), 0);
  for (int64_t i = 0; i < tp.size(0); ++i) {
    const auto image = size_t(d.at({i, 0}));
    const uint16_t bits = got[image][at[image]++];
    for (int64_t j = 0; j < train::kIouThresholds; ++j)
      expect(((bits >> j) & 1) == int(tp.at({i, j})), "tp[{}][{}]: {}, expected {}", i, j, (bits >> j) & 1,
             tp.at({i, j}));
  }
}

void check_native(const json& want, const train::Metrics& got, double tolerance) {
  const auto n = want.at("classes").size();
  // The reference leaves the classes out when nothing was found.
  if (n > 0) expect(got.classes.size() == n, "{} classes, expected {}", got.classes.size(), n);
  for (size_t i = 0; i < n; ++i) {
    const train::ClassMetrics& m = got.classes[i];
    expect(m.cls == want.at("classes")[i], "class {}, expected {}", m.cls, want.at("classes")[i].get<int>());
    const std::pair<const char*, double> numbers[] = {
        {"P", m.precision}, {"R", m.recall}, {"F1", m.f1}, {"AP50", m.ap50()}, {"AP", m.ap50_95()}};
    for (const auto& [name, value] : numbers) expect_near(name, value, want.at(name)[i], tolerance);
  }
  const std::pair<const char*, double> means[] = {{"mP", got.precision},
                                                  {"mR", got.recall},
                                                  {"mAP50", got.map50},
                                                  {"mAP", got.map50_95},
                                                  {"fitness", got.fitness()}};
  for (const auto& [name, value] : means) expect_near(name, value, want.at(name), tolerance);
}

// The reference's matrix from ours: images without detections or without objects are left out, the class
// block is [label][prediction], and false positives of an image without any match are lost (eval.md 3.1).
void check_confusion(const GoldenCase& c, const std::vector<train::ImageResult>& images) {
  const int nc = c.info.at("nc");
  const json& want = c.info.at("expected").at("confusion_matrix").at("confusion_matrix");
  std::vector<std::vector<int64_t>> got(size_t(nc + 1), std::vector<int64_t>(size_t(nc + 1), 0));
  for (const auto& image : images) {
    if (image.found.empty() || image.truth.empty()) continue;
    const auto m = train::confusion_matrix({image}, nc);
    int64_t matches = 0;
    for (int p = 0; p < nc; ++p)
      for (int t = 0; t < nc; ++t) {
        got[size_t(t)][size_t(p)] += m.at(p, t);
        matches += m.at(p, t);
      }
    for (int k = 0; k < nc; ++k) {
      got[size_t(nc)][size_t(k)] += m.at(nc, k);
      if (matches > 0) got[size_t(k)][size_t(nc)] += m.at(k, nc);
    }
  }
  for (size_t r = 0; r < got.size(); ++r)
    for (size_t k = 0; k < got.size(); ++k)
      expect(double(got[r][k]) == want[r][k], "confusion[{}][{}]: {}, expected {}", r, k, got[r][k],
             want[r][k].get<double>());
}

void check_coco(const GoldenCase& c, double tolerance) {
  const json& want = c.info.at("expected").at("coco");
  const auto got =
      train::coco_metrics(read_coco_case(c.folder / "gt.json", c.folder / "dt.json").images, c.info.at("nc"));
  if (want.is_null()) {  // the original tool gives up without detections
    expect(got.ap == 0 && got.ar100 == 0, "AP {} and AR {} without detections, expected 0", got.ap,
           got.ar100);
    return;
  }
  const double numbers[] = {got.ap,  got.ap50, got.ap75,  got.ap_small, got.ap_medium, got.ap_large,
                            got.ar1, got.ar10, got.ar100, got.ar_small, got.ar_medium, got.ar_large};
  for (size_t i = 0; i < std::size(numbers); ++i)
    expect_near(want.at("names")[i], numbers[i], want.at("stats")[i], tolerance);
  for (const auto& m : got.classes)
    expect_near("AP of class " + std::to_string(m.cls), m.ap, want.at("AP_per_class")[size_t(m.cls)],
                tolerance);
}

}  // namespace

void run_metrics_case(const GoldenCase& c) {
  const json &expected = c.info.at("expected"), &tolerance = c.info.at("tolerance");
  const int nc = c.info.at("nc");
  const auto images = native_images(c);
  check_matches(c, images);
  for (const auto& [rule, name] :
       {std::pair{train::ApRule::kV7, "default"}, std::pair{train::ApRule::kV5, "v5_metric"}})
    check_native(expected.at("native").at(name), train::yolo_metrics(images, nc, rule),
                 tolerance.at("native").at("abs"));
  check_confusion(c, images);
  check_coco(c, tolerance.at("coco").at("abs"));
}

}  // namespace mtyolo::test

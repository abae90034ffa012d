#include <algorithm>

#include "ops/nms.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

ops::NmsParams params_from(const nlohmann::json& json) {
  ops::NmsParams p{.conf_thres = json.at("conf_thres"),
                   .iou_thres = json.at("iou_thres"),
                   .multi_label = json.at("multi_label"),
                   .agnostic = json.at("agnostic"),
                   .max_det = json.at("max_det"),
                   .max_nms = json.at("max_nms"),
                   .classes = {}};
  if (!json.at("classes").is_null()) p.classes = json.at("classes").get<std::vector<int>>();
  return p;
}

// [detections, 4 or 1] columns of the result, so that boxes and confidences keep their own tolerance.
Tensor boxes_of(const std::vector<ops::Detection>& detections) {
  std::vector<float> values;
  for (const ops::Detection& d : detections) values.insert(values.end(), {d.x1, d.y1, d.x2, d.y2});
  return Tensor::from(values, {int64_t(detections.size()), 4});
}

Tensor confidences_of(const std::vector<ops::Detection>& detections) {
  std::vector<float> values;
  for (const ops::Detection& d : detections) values.push_back(d.confidence);
  return Tensor::from(values, {int64_t(detections.size()), 1});
}

}  // namespace

void run_nms_case(const GoldenCase& c) {
  const ops::NmsParams p = params_from(c.info.at("params"));
  const nlohmann::json& tolerance = c.info.at("tolerance");
  const Tensor& predictions = c.tensor("pred");
  for (int64_t image = 0; image < predictions.size(0); ++image) {
    const std::string name = "det." + std::to_string(image);
    const Tensor& want = c.tensor(name);
    const Tensor rows =
        predictions.slice(0, image, image + 1).reshape({predictions.size(1), predictions.size(2)});
    const auto got = ops::nms(rows, p);
    expect(int64_t(got.size()) == want.size(0), "{}: {} detections, expected {}", name, got.size(),
           want.size(0));
    for (size_t i = 0; i < got.size(); ++i)
      expect(got[i].class_id == want.at({int64_t(i), 5}), "{}: detection {} has class {}, expected {}", name,
             i, got[i].class_id, want.at({int64_t(i), 5}));
    expect_close(name + " boxes", boxes_of(got), want.slice(1, 0, 4), tolerance_from(tolerance.at("box")));
    expect_close(name + " confidences", confidences_of(got), want.slice(1, 4, 5),
                 tolerance_from(tolerance.at("confidence")));
  }
}

}  // namespace mtyolo::test

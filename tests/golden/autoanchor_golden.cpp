// Best possible recall and anchors above the threshold of given labels and anchors.
#include "data/anchors.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {

void run_autoanchor_case(const GoldenCase& c) {
  const auto& params = c.info.at("params");
  const Tensor shapes = c.tensor("image_shapes_wh"), labels = c.tensor("label_wh");
  const Tensor images = c.tensor("label_image"), scale = c.tensor("scale");
  const double img_size = params.at("img_size");
  std::vector<float> pixels;
  std::vector<data::Size2> sizes, anchors;
  for (int64_t i = 0; i < labels.size(0); ++i) {
    const int64_t image = images.data<int64_t>()[i];
    const double w = shapes.at({image, 0}), h = shapes.at({image, 1});
    const double factor = img_size / std::max(w, h) * scale.at({image, 0});
    sizes.push_back({labels.at({i, 0}) * w * factor, labels.at({i, 1}) * h * factor});
    pixels.insert(pixels.end(), {float(sizes.back()[0]), float(sizes.back()[1])});
  }
  expect_close("wh_pixels", Tensor::from(pixels, labels.shape()), c.tensor("wh_pixels"), {1e-4, 1e-5});
  for (const auto& level : params.at("anchors_pixels"))
    for (size_t i = 0; i + 1 < level.size(); i += 2) anchors.push_back({level[i], level[i + 1]});
  const auto got = data::measure_anchors(sizes, anchors, params.at("threshold"));
  const auto check = [&](const char* name, double value) {
    const double expected = c.info.at("expected").at(name);
    const double limit = c.info.at("tolerance").at(name).at("abs");
    expect(std::abs(value - expected) <= limit, "{}: {}, expected {}", name, value, expected);
  };
  check("best_possible_recall", got.recall);
  check("anchors_above_threshold", got.per_label);
  const bool recompute = c.info.at("expected").at("recompute");
  expect((got.recall < data::kEnoughRecall) == recompute, "recall {} does not ask for the expected decision",
         got.recall);
}

}  // namespace mtyolo::test

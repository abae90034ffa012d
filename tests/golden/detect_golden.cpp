// Kind "detect": the whole pipeline on a picture, detections in pixels of the original.
#include <algorithm>
#include <cmath>

#include "data/image.h"
#include "models/model.h"
#include "models/plan/detector.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

struct Box {
  std::array<double, 4> xyxy;
  double confidence;
  int class_id;
};

std::vector<Box> detect(Context& ctx, models::Detector& detector, const data::Image& image,
                        const nlohmann::json& p) {
  data::LetterboxParams box;
  box.width = box.height = p.at("size");
  box.auto_pad = p.at("auto");
  box.stride = p.at("stride");
  data::Letterbox done;
  const data::Image input = data::letterbox(image, box, done);
  Tensor x = Tensor::empty({1, 3, input.height, input.width}, DType::kF32, ctx.allocator());
  data::image_to_tensor(input, x);
  models::DetectParams params;
  params.nms.conf_thres = p.at("conf");
  params.nms.iou_thres = p.at("iou");
  params.nms.agnostic = p.at("agnostic");
  if (!p.at("classes").is_null()) params.nms.classes = p.at("classes").get<std::vector<int>>();
  const auto detections = detector.detect(x, params);
  std::vector<Box> found;
  for (const ops::Detection& d : detections[0])
    found.push_back({data::map_to_source(done, {d.x1, d.y1, d.x2, d.y2}), d.confidence, d.class_id});
  return found;
}

double iou(const std::array<double, 4>& a, const std::array<double, 4>& b) {
  const double w = std::min(a[2], b[2]) - std::max(a[0], b[0]),
               h = std::min(a[3], b[3]) - std::max(a[1], b[1]);
  const double inter = std::max(w, 0.0) * std::max(h, 0.0);
  const double areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter;
  return areas > 0 ? inter / areas : 1;
}

bool same_place(const std::array<double, 4>& a, const std::array<double, 4>& b, double limit_px,
                double least_iou) {
  double worst = 0;
  for (size_t k = 0; k < 4; ++k) worst = std::max(worst, std::abs(a[k] - b[k]));
  return worst <= limit_px || iou(a, b) > least_iou;
}

struct Limits {
  double confidence;  // only what is so much above the threshold must be found, with such a confidence
  double overlap;     // IoU of boxes that are the same
  double threshold;   // runs below it are left out
};

void check_runs(const GoldenCase& c, Context& ctx, models::Detector& detector, const Limits& limits) {
  const data::Image image = data::read_image(c.resolve(c.info.at("image")).string());
  const double box_px = c.info.at("tolerance").at("box_px").at("abs");
  int run = -1;
  for (const auto& spec : c.info.at("runs")) {
    const double threshold = spec.at("params").at("conf");
    ++run;
    if (threshold < limits.threshold) continue;
    const std::vector<Box> got = detect(ctx, detector, image, spec.at("params"));
    const Tensor& want = c.tensor(spec.at("detections"));
    int missing = 0;
    for (int64_t i = 0; i < want.size(0); ++i) {
      const std::array<double, 4> box{want.at({i, 0}), want.at({i, 1}), want.at({i, 2}), want.at({i, 3})};
      const double conf = want.at({i, 4});
      if (conf < threshold + limits.confidence) continue;
      missing += std::none_of(got.begin(), got.end(), [&](const Box& g) {
        return g.class_id == int(want.at({i, 5})) && std::abs(g.confidence - conf) <= limits.confidence &&
               same_place(g.xyxy, box, box_px, limits.overlap);
      });
    }
    // One detection in fifty may fall on the other side of a suppression threshold.
    const int64_t limit = std::max<int64_t>(1, want.size(0) / 50);
    expect(missing <= limit && std::abs(int64_t(got.size()) - want.size(0)) <= limit,
           "run {}: {} of {} detections missing, {} found", run, missing, want.size(0), got.size());
  }
}

}  // namespace

void run_detect_case(const GoldenCase& c) {
  Context ctx;
  const models::Model model = models::load_model(c.resolve(c.info.at("checkpoint")).string());
  models::Detector f32(ctx, model.graph, model.weights, ops::Impls());
  check_runs(c, ctx, f32, {c.info.at("tolerance").at("confidence").at("abs"), 0.95, 0});
  if (!c.info.at("checkpoint").get<std::string>().starts_with("trained/")) return;
  // bf16: a rounding to nearest is off by 2^-8 / sqrt(3) of the power of two below a value, which is
  // 0.424 * 2^-8 of the value in the mean square over a factor of two. Logits t after 43 convolutions, whose
  // weights and results are rounded, have errors of about |t| sqrt(2 * 43) 0.424 * 2^-8, a sigmoid 0.224 of
  // that, a product of two twice as much; three times that is hardly ever passed. Sides of a box are 4 s^2
  // of an anchor, off by up to 2 * 2 * 0.224 / s of that error. Of two overlapping candidates as close as
  // that, either may win the suppression. Guesses below infer's own threshold come and go.
  constexpr double kConfidence = 3 * 2 * 0.224 * 0.0154, kOverlap = 0.93;
  models::Detector bf16(ctx, model.graph, model.weights, ops::Impls(), {}, ops::blocked::Element::kBF16);
  check_runs(c, ctx, bf16, {kConfidence, kOverlap, 0.25});
}

}  // namespace mtyolo::test

#include <algorithm>
#include <tuple>

#include "train/box_overlap.h"
#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

constexpr double kMinScore = 0.25, kMinIou = 0.5;
constexpr Rgb kRight{0, 158, 115}, kFalse{205, 40, 40}, kMissed{240, 150, 0};

// For each found box of enough score whether it is right, and for each truth whether it was found. Crowds
// count as neither.
struct Verdict {
  std::vector<bool> shown, right, truth_found;
};

Verdict judge(const ImageResult& result) {
  Verdict v{std::vector<bool>(result.found.size()), std::vector<bool>(result.found.size()),
            std::vector<bool>(result.truth.size())};
  for (size_t i = 0; i < result.found.size(); ++i) {
    const ScoredBox& box = result.found[i];
    v.shown[i] = box.score >= kMinScore;
    double best = kMinIou;
    size_t at = result.truth.size();
    bool in_crowd = false;
    for (size_t t = 0; t < result.truth.size() && v.shown[i]; ++t) {
      if (result.truth[t].cls != box.cls) continue;
      const double overlap = box_iou(box, result.truth[t]);
      if (result.truth[t].crowd) in_crowd |= overlap > 0;
      else if (!v.truth_found[t] && overlap >= best) best = overlap, at = t;
    }
    if (at < result.truth.size()) v.right[i] = v.truth_found[at] = true;
    else if (in_crowd) v.shown[i] = false;
  }
  for (size_t t = 0; t < result.truth.size(); ++t)
    if (result.truth[t].crowd) v.truth_found[t] = true;
  return v;
}

}  // namespace

ImageScore score_image(const ImageResult& result, int index) {
  const Verdict v = judge(result);
  ImageScore s{index, 0, 0, 0, 1};
  for (size_t i = 0; i < v.shown.size(); ++i)
    if (v.shown[i]) ++(v.right[i] ? s.right : s.false_positives);
  s.missed = int(std::count(v.truth_found.begin(), v.truth_found.end(), false));
  const int errors = s.false_positives + s.missed;
  if (errors > 0) s.f1 = 2.0 * s.right / (2.0 * s.right + errors);
  return s;
}

std::vector<ImageScore> worst_images(std::span<const ImageResult> images, int count) {
  std::vector<ImageScore> scores;
  for (size_t i = 0; i < images.size(); ++i) {
    const ImageScore s = score_image(images[i], int(i));
    if (s.false_positives + s.missed > 0) scores.push_back(s);
  }
  const auto rank = [](const ImageScore& s) {
    return std::tuple(s.f1, -(s.false_positives + s.missed), s.index);
  };
  std::sort(scores.begin(), scores.end(),
            [&](const ImageScore& a, const ImageScore& b) { return rank(a) < rank(b); });
  if (scores.size() > size_t(std::max(0, count))) scores.resize(size_t(std::max(0, count)));
  return scores;
}

data::Image draw_errors(const data::Image& image, const ImageResult& result, const ClassTable& classes,
                        int max_side) {
  const int longest = std::max(image.width, image.height);
  if (image.width < 1 || image.height < 1) return image;
  const double scale = double(max_side) / longest;
  const int w = std::max(1, int(image.width * scale)), h = std::max(1, int(image.height * scale));
  data::Image out = scale < 1 ? data::resize_area(image, w, h) : data::resize_linear(image, w, h);
  const double sx = double(out.width) / image.width, sy = double(out.height) / image.height;
  const Verdict v = judge(result);
  std::vector<data::LabelledBox> boxes;
  for (size_t t = 0; t < result.truth.size(); ++t)
    if (const TruthBox& b = result.truth[t]; !v.truth_found[t])
      boxes.push_back({b.x1 * sx, b.y1 * sy, b.x2 * sx, b.y2 * sy, classes.label(b.cls), kMissed});
  for (const bool right : {false, true})
    for (size_t i = 0; i < result.found.size(); ++i)
      if (const ScoredBox& b = result.found[i]; v.shown[i] && v.right[i] == right)
        boxes.push_back({b.x1 * sx, b.y1 * sy, b.x2 * sx, b.y2 * sy,
                         right ? "" : fmt::format("{} {:.2f}", classes.label(b.cls), b.score),
                         right ? kRight : kFalse});
  data::draw_boxes(out, boxes, 2);
  return out;
}

}  // namespace mtyolo::train

#include <algorithm>

#include "core/error.h"
#include "train/box_overlap.h"
#include "train/metrics.h"
#include "train/sort_descending.h"

namespace mtyolo::train {
namespace {

constexpr float kMinScore = 0.25f;
constexpr double kMinIou = 0.45;

struct Pair {
  double iou;
  size_t found, truth;
};

// By decreasing IoU, keeps the first pair of every value of `key`.
void keep_best(std::vector<Pair>& pairs, size_t Pair::*key) {
  std::vector<Pair> kept;
  for (const Pair& p : pairs)
    if (std::none_of(kept.begin(), kept.end(), [&](const Pair& k) { return k.*key == p.*key; }))
      kept.push_back(p);
  pairs = std::move(kept);
}

std::vector<Pair> match(const std::vector<ScoredBox>& found, const std::vector<TruthBox>& truth) {
  std::vector<Pair> pairs;
  for (size_t t = 0; t < truth.size(); ++t)
    for (size_t d = 0; d < found.size(); ++d)
      if (const double iou = box_iou(found[d], truth[t]); iou > kMinIou) pairs.push_back({iou, d, t});
  sort_descending(pairs, [](const Pair& p) { return p.iou; });
  keep_best(pairs, &Pair::found);
  keep_best(pairs, &Pair::truth);
  return pairs;
}

}  // namespace

ConfusionMatrix confusion_matrix(const std::vector<ImageResult>& images, int nc) {
  ConfusionMatrix m{nc, std::vector<int64_t>(size_t(nc + 1) * size_t(nc + 1), 0)};
  const auto count = [&](int predicted, int truth) {
    ++m.counts.at(size_t(predicted) * size_t(nc + 1) + size_t(truth));
  };
  for (const ImageResult& image : images) {
    std::vector<ScoredBox> found;
    std::vector<TruthBox> truth;
    std::copy_if(image.found.begin(), image.found.end(), std::back_inserter(found),
                 [](const ScoredBox& d) { return d.score > kMinScore; });
    std::copy_if(image.truth.begin(), image.truth.end(), std::back_inserter(truth),
                 [](const TruthBox& t) { return !t.crowd; });
    std::vector<bool> hit(found.size(), false), seen(truth.size(), false);
    for (const Pair& p : match(found, truth)) {
      hit[p.found] = seen[p.truth] = true;
      count(found[p.found].cls, truth[p.truth].cls);
    }
    for (size_t d = 0; d < found.size(); ++d)
      if (!hit[d]) count(found[d].cls, nc);
    for (size_t t = 0; t < truth.size(); ++t)
      if (!seen[t]) count(nc, truth[t].cls);
  }
  return m;
}

}  // namespace mtyolo::train

#include "train/image_weights.h"

#include <algorithm>

#include "core/error.h"
#include "core/random.h"

namespace mtyolo::train {
namespace {

constexpr uint32_t kDrawStream = 0x696d7764;  // "imwd"

}  // namespace

std::vector<double> class_weights(const std::vector<int64_t>& label_counts) {
  std::vector<double> weights;
  double sum = 0;
  for (const int64_t count : label_counts) {
    weights.push_back(1 / double(std::max<int64_t>(count, 1)));
    sum += weights.back();
  }
  for (double& w : weights) w *= double(weights.size()) / sum;
  return weights;
}

std::vector<double> image_weights(const std::vector<std::vector<int>>& image_classes,
                                  const std::vector<double>& class_weight, const std::vector<double>& ap) {
  const size_t nc = class_weight.size();
  MTYOLO_CHECK(ap.size() == nc, "image weights: {} classes but {} average precisions", nc, ap.size());
  std::vector<double> of_class(nc), out;
  for (size_t c = 0; c < nc; ++c) of_class[c] = class_weight[c] * (1 - ap[c]) * (1 - ap[c]) / double(nc);
  for (const std::vector<int>& classes : image_classes) {
    double weight = 0;
    for (const int c : classes) {
      MTYOLO_CHECK(c >= 0 && size_t(c) < nc, "image weights: class {} of {}", c, nc);
      weight += of_class[size_t(c)];
    }
    out.push_back(weight);
  }
  return out;
}

std::vector<int64_t> draw_images(const std::vector<double>& weights, uint64_t seed, int epoch) {
  std::vector<double> upto;  // cumulative
  double sum = 0;
  for (const double w : weights) upto.push_back(sum += w);
  std::vector<int64_t> out(weights.size());
  RandomStream random(seed, kDrawStream, uint64_t(epoch));
  for (int64_t& index : out) {
    if (sum <= 0) {
      index = random.below(int64_t(weights.size()));
      continue;
    }
    // The first image whose share ends beyond the draw; rounding never leads past the last one with a weight.
    const auto it = std::upper_bound(upto.begin(), upto.end(), random.uniform() * sum);
    index =
        it != upto.end() ? it - upto.begin() : std::lower_bound(upto.begin(), upto.end(), sum) - upto.begin();
  }
  return out;
}

}  // namespace mtyolo::train

// Anchors: how well they fit a data set, and better ones by k-means and evolution: by the ratio of sides, as
// training asks for it (train.md section 11), or by overlap (Redmon, Farhadi, "YOLO9000", CVPR 2017, section
// 2: k-means with the distance 1 - IoU of boxes on one centre).
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

using Size2 = std::array<double, 2>;  // width and height in pixels of the network input

enum class AnchorMetric { kRatio, kIou };

struct AnchorParams {
  int img_size = 640;      // longer side of the input; of a picture in a rectangular batch too
  double threshold = 4;    // anchor_t: an anchor fits up to this ratio of sides
  int generations = 1000;  // of evolution
  uint64_t seed = 0;       // every number drawn follows from it (known-issues A3)
  AnchorMetric metric = AnchorMetric::kRatio;  // what find_anchors looks for
};

struct AnchorMetrics {
  double recall = 0;     // best possible recall: share of labels that some anchor fits
  double per_label = 0;  // anchors above the threshold per label
  double mean_iou = 0;   // of each label with the anchor that overlaps it most
};

// Sizes of all labels, or of those of `classes`; pictures scaled to img_size, with `vary` by another factor
// of 0.9..1.1 per picture.
std::vector<Size2> label_sizes(const Dataset& dataset, const AnchorParams& params, bool vary,
                               std::span<const int> classes = {});

// A label fits an anchor when the worst ratio of their sides is below the threshold.
AnchorMetrics measure_anchors(std::span<const Size2> sizes, std::span<const Size2> anchors, double threshold);

// What evolution raises. kRatio: mean(best * (best > 1 / threshold)), best = highest min(ratio, 1 / ratio)
// over the anchors; kIou: the mean IoU.
double anchor_fitness(std::span<const Size2> sizes, std::span<const Size2> anchors,
                      const AnchorParams& params);

// `count` anchors for the labels of at least 2 pixels on both sides, sorted by area; at most 50,000 labels,
// drawn at random, are looked at. Empty when there are fewer than 3 labels per anchor.
std::vector<Size2> find_anchors(std::span<const Size2> sizes, int count, const AnchorParams& params);

struct AnchorReport {
  std::vector<Size2> anchors;   // to be used, sorted by area if they are new
  AnchorMetrics before, after;  // of the given ones and of `anchors`
  bool replaced = false;
  int64_t labels = 0, small = 0;  // labels in all, and below 3 pixels on one side
  std::string message;            // one line: numbers and decision
};
inline constexpr double kEnoughRecall = 0.98;

// Keeps `anchors` when their recall is 0.98 or more, when no better ones are found or labels are too few.
AnchorReport check_anchors(const Dataset& dataset, const std::vector<Size2>& anchors,
                           const AnchorParams& params);

}  // namespace mtyolo::data

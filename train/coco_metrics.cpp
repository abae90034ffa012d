// eval.md section 3.2. The order of sorting, the ties and the constants are pycocotools'.
#include <algorithm>
#include <array>
#include <map>

#include "train/box_overlap.h"
#include "train/metrics.h"
#include "train/sort_descending.h"

namespace mtyolo::train {
namespace {

constexpr int kMaxDetections = 100, kRecalls = 101;
constexpr double kFar = 1e10;
struct AreaRange {
  double low, high;
  bool holds(double area) const { return area >= low && area <= high; }
};
constexpr AreaRange kRanges[] = {{0, kFar}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, kFar}};
constexpr int kRangeCount = 4;

double threshold(int j) { return j == kIouThresholds - 1 ? 0.95 : 0.5 + j * ((0.95 - 0.5) / 9); }

double truth_area(const TruthBox& t) { return t.area < 0 ? area_of(t) : t.area; }

// What one image has of one class.
struct Group {
  std::vector<const ScoredBox*> found;  // the best, by decreasing score
  std::vector<const TruthBox*> truth;
  std::vector<double> iou;  // [found][truth]; with a crowd: of the detection's area
};

// One detection in one area range: bit j of the masks is threshold j.
struct Judged {
  float score = 0;
  int rank = 0;  // in its image
  uint16_t hit = 0, ignored = 0;
};

struct RangeResult {
  std::vector<Judged> found;  // in the order of the images
  int64_t positives = 0;
};

std::vector<std::vector<Group>> group_by_class(const std::vector<ImageResult>& images, int nc) {
  std::vector<std::vector<Group>> groups{size_t(nc)};
  for (const ImageResult& image : images) {
    std::map<int, Group> here;
    for (const ScoredBox& d : image.found) here[d.cls].found.push_back(&d);
    for (const TruthBox& t : image.truth) here[t.cls].truth.push_back(&t);
    for (auto& [cls, g] : here) {
      sort_descending(g.found, [](const ScoredBox* d) { return d->score; });
      if (g.found.size() > kMaxDetections) g.found.resize(kMaxDetections);
      for (const ScoredBox* d : g.found)
        for (const TruthBox* t : g.truth) {
          const double area = area_of(*d);
          g.iou.push_back(!t->crowd ? box_iou(*d, *t) : area > 0 ? intersection(*d, *t) / area : 0);
        }
      groups.at(size_t(cls)).push_back(std::move(g));
    }
  }
  return groups;
}

// The object that a detection takes, as index into `order`, or -1. Ignored objects come last in `order`.
int take(const Group& g, size_t d, const std::vector<size_t>& order, size_t regular,
         const std::vector<bool>& taken, double needed) {
  int best = -1;
  for (size_t i = 0; i < order.size(); ++i) {
    if (best >= 0 && size_t(best) < regular && i >= regular) break;
    if (taken[i] && !g.truth[order[i]]->crowd) continue;
    const double iou = g.iou[d * g.truth.size() + order[i]];
    if (iou < needed) continue;
    needed = iou;
    best = int(i);
  }
  return best;
}

void judge(const Group& g, const AreaRange& range, RangeResult& result) {
  std::vector<size_t> order;
  const auto ignored = [&](size_t t) { return g.truth[t]->crowd || !range.holds(truth_area(*g.truth[t])); };
  for (size_t t = 0; t < g.truth.size(); ++t)
    if (!ignored(t)) order.push_back(t);
  const size_t regular = order.size();
  for (size_t t = 0; t < g.truth.size(); ++t)
    if (ignored(t)) order.push_back(t);
  result.positives += int64_t(regular);

  const size_t first = result.found.size();
  for (size_t d = 0; d < g.found.size(); ++d)
    result.found.push_back({.score = g.found[d]->score, .rank = int(d)});
  for (int j = 0; j < kIouThresholds; ++j) {
    const auto bit = uint16_t(1u << j);
    std::vector<bool> taken(order.size(), false);
    for (size_t d = 0; d < g.found.size(); ++d) {
      Judged& out = result.found[first + d];
      const int t = take(g, d, order, regular, taken, std::min(threshold(j), 1 - 1e-10));
      if (t >= 0) taken[size_t(t)] = true;
      const bool drop = t >= 0 ? size_t(t) >= regular : !range.holds(area_of(*g.found[d]));
      if (drop) out.ignored = uint16_t(out.ignored | bit);
      else if (t >= 0) out.hit = uint16_t(out.hit | bit);
    }
  }
}

// Mean over 101 recalls of the precision at threshold j; `found` by decreasing score.
double average_precision(const RangeResult& r, int j) {
  std::vector<double> recall, precision;
  double hits = 0, seen = 0;
  for (const Judged& d : r.found) {
    if ((d.ignored >> j) & 1) continue;
    hits += (d.hit >> j) & 1;
    seen += 1;
    recall.push_back(hits / double(r.positives));
    precision.push_back(hits / seen);
  }
  for (size_t i = precision.size(); i > 1; --i)
    precision[i - 2] = std::max(precision[i - 2], precision[i - 1]);
  double sum = 0;
  for (int k = 0; k < kRecalls; ++k) {
    const auto at = std::lower_bound(recall.begin(), recall.end(), k * 0.01);
    if (at != recall.end()) sum += precision[size_t(at - recall.begin())];
  }
  return sum / kRecalls;
}

// Mean over the thresholds of the recall that the `most` best of every image reach.
double average_recall(const RangeResult& r, int most) {
  double hits = 0;
  for (const Judged& d : r.found)
    if (d.rank < most)
      for (int j = 0; j < kIouThresholds; ++j) hits += (d.hit >> j) & 1;
  return hits / double(r.positives) / kIouThresholds;
}

CocoMetrics::PerClass measure_class(const std::vector<Group>& groups, int cls) {
  CocoMetrics::PerClass out;
  out.cls = cls;
  double* const ap[] = {&out.ap, &out.ap_small, &out.ap_medium, &out.ap_large};
  double* const ar[] = {&out.ar100, &out.ar_small, &out.ar_medium, &out.ar_large};
  for (int range = 0; range < kRangeCount; ++range) {
    RangeResult r;
    for (const Group& g : groups) judge(g, kRanges[range], r);
    if (r.positives == 0) continue;
    sort_descending(r.found, [](const Judged& d) { return d.score; });
    std::array<double, kIouThresholds> per{};
    double sum = 0;
    for (int j = 0; j < kIouThresholds; ++j) sum += per[size_t(j)] = average_precision(r, j);
    *ap[range] = sum / kIouThresholds;
    *ar[range] = average_recall(r, kMaxDetections);
    if (range > 0) continue;
    out.ap50 = per[0];
    out.ap75 = per[5];
    out.ar1 = average_recall(r, 1);
    out.ar10 = average_recall(r, 10);
  }
  return out;
}

}  // namespace

CocoMetrics coco_metrics(const std::vector<ImageResult>& images, int nc) {
  CocoMetrics m;
  const auto groups = group_by_class(images, nc);
  std::vector<int> all;
  for (int c = 0; c < nc; ++c) {
    m.classes.push_back(measure_class(groups[size_t(c)], c));
    all.push_back(c);
  }
  static_cast<CocoNumbers&>(m) = restrict_to(m, all);
  return m;
}

CocoNumbers restrict_to(const CocoMetrics& all, const std::vector<int>& classes) {
  CocoNumbers means;
  for (double CocoNumbers::*number :
       {&CocoNumbers::ap, &CocoNumbers::ap50, &CocoNumbers::ap75, &CocoNumbers::ap_small,
        &CocoNumbers::ap_medium, &CocoNumbers::ap_large, &CocoNumbers::ar1, &CocoNumbers::ar10,
        &CocoNumbers::ar100, &CocoNumbers::ar_small, &CocoNumbers::ar_medium, &CocoNumbers::ar_large}) {
    double sum = 0;
    int n = 0;
    for (const int c : classes) {
      const double value = all.classes.at(size_t(c)).*number;
      if (value < 0) continue;
      sum += value;
      ++n;
    }
    if (n > 0) means.*number = sum / n;
  }
  return means;
}

}  // namespace mtyolo::train

#include "data/anchors.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"

namespace mtyolo::data {
namespace {

constexpr uint32_t kVaryStream = 0xa4c0, kSearchStream = 0xa4c1;
constexpr size_t kMostLabels = 50'000;

// min over both axes of min(r, 1/r), r = label / anchor.
double fit(const Size2& label, const Size2& anchor) {
  const double x = label[0] / anchor[0], y = label[1] / anchor[1];
  return std::min(std::min(x, 1 / x), std::min(y, 1 / y));
}

// Of two boxes on one centre.
double iou(const Size2& a, const Size2& b) {
  const double both = std::min(a[0], b[0]) * std::min(a[1], b[1]);
  return both / (a[0] * a[1] + b[0] * b[1] - both);
}

template <double (*likeness)(const Size2&, const Size2&)>
double best_of(const Size2& label, std::span<const Size2> anchors) {
  double best = 0;
  for (const Size2& anchor : anchors) best = std::max(best, likeness(label, anchor));
  return best;
}

void sort_by_area(std::vector<Size2>& anchors) {
  std::sort(anchors.begin(), anchors.end(), [](const Size2& a, const Size2& b) {
    const double area_a = a[0] * a[1], area_b = b[0] * b[1];
    return area_a != area_b ? area_a < area_b : a < b;
  });
}

// Labels with both sides of at least 2 pixels (A5), at most kMostLabels of them.
std::vector<Size2> usable_sizes(std::span<const Size2> sizes, RandomStream& random) {
  std::vector<Size2> usable;
  for (const Size2& s : sizes)
    if (s[0] >= 2 && s[1] >= 2) usable.push_back(s);
  if (usable.size() <= kMostLabels) return usable;
  for (size_t i = 0; i < kMostLabels; ++i)
    std::swap(usable[i], usable[i + size_t(random.below(int64_t(usable.size() - i)))]);
  usable.resize(kMostLabels);
  return usable;
}

// Standard deviation per axis, 1 where all labels are alike (A2).
Size2 deviation(std::span<const Size2> sizes) {
  Size2 result{};
  for (size_t axis = 0; axis < 2; ++axis) {
    double mean = 0, squares = 0;
    for (const Size2& s : sizes) mean += s[axis] / double(sizes.size());
    for (const Size2& s : sizes) squares += (s[axis] - mean) * (s[axis] - mean);
    const double value = std::sqrt(squares / double(sizes.size()));
    result[axis] = value > 1e-9 * mean ? value : 1;
  }
  return result;
}

struct Clusters {
  std::vector<Size2> centres;
  double distortion = INFINITY;  // mean distance to the nearest centre
};

// Lloyd's algorithm from the given centres until the distortion changes by 1e-5 or less; centres that no
// label is nearest to are dropped.
Clusters settle(std::span<const Size2> points, std::vector<Size2> centres, AnchorMetric metric) {
  const bool by_iou = metric == AnchorMetric::kIou;
  Clusters clusters{std::move(centres), INFINITY};
  constexpr int kMostRounds = 300;
  double change = INFINITY;
  for (int round = 0; round < kMostRounds && change > 1e-5; ++round) {
    std::vector<Size2> sums(clusters.centres.size());
    std::vector<double> counts(clusters.centres.size());
    double distortion = 0;
    for (const Size2& p : points) {
      size_t nearest = 0;
      double least = INFINITY;
      for (size_t i = 0; i < clusters.centres.size(); ++i) {
        const double dx = p[0] - clusters.centres[i][0], dy = p[1] - clusters.centres[i][1];
        const double away = by_iou ? 1 - iou(p, clusters.centres[i]) : dx * dx + dy * dy;
        if (away < least) least = away, nearest = i;
      }
      sums[nearest][0] += p[0];
      sums[nearest][1] += p[1];
      counts[nearest] += 1;
      distortion += by_iou ? least : std::sqrt(least);
    }
    distortion /= double(points.size());
    change = std::isinf(clusters.distortion) ? INFINITY : std::abs(clusters.distortion - distortion);
    clusters.distortion = distortion;
    clusters.centres.clear();
    for (size_t i = 0; i < sums.size(); ++i)
      if (counts[i] > 0) clusters.centres.push_back({sums[i][0] / counts[i], sums[i][1] / counts[i]});
  }
  return clusters;
}

// The best of 30 starts from random labels.
std::vector<Size2> k_means(std::span<const Size2> points, size_t count, AnchorMetric metric,
                           RandomStream& random) {
  constexpr int kStarts = 30;
  Clusters best;
  std::vector<Size2> pool(points.begin(), points.end());
  for (int start = 0; start < kStarts; ++start) {
    for (size_t i = 0; i < count; ++i)
      std::swap(pool[i], pool[i + size_t(random.below(int64_t(pool.size() - i)))]);
    const auto end = pool.begin() + std::ptrdiff_t(count);
    Clusters found = settle(points, {pool.begin(), end}, metric);
    if (found.distortion < best.distortion) best = std::move(found);
  }
  return best.centres;
}

// Labels that are too much alike give fewer centres: the missing ones are labels evenly spread by area, moved
// a little so that no two anchors are equal (A1).
void fill_up(std::vector<Size2>& anchors, size_t count, std::vector<Size2> sizes, RandomStream& random) {
  sort_by_area(sizes);
  const size_t missing = count > anchors.size() ? count - anchors.size() : 0;
  for (size_t i = 0; i < missing; ++i) {
    const Size2& label = sizes[(2 * i + 1) * sizes.size() / (2 * missing)];
    anchors.push_back({label[0] * random.uniform(0.8, 1.25), label[1] * random.uniform(0.8, 1.25)});
  }
}

// One mutation of all anchors: a common strength, a factor for each side of nine in ten.
std::vector<Size2> mutate(const std::vector<Size2>& anchors, RandomStream& random) {
  std::vector<Size2> mutated = anchors;
  for (bool changed = false; !changed;) {
    const double strength = random.uniform();
    for (size_t i = 0; i < anchors.size(); ++i)
      for (size_t axis = 0; axis < 2; ++axis) {
        const double mask = random.uniform() < 0.9 ? 1 : 0;
        const double factor = std::clamp(1 + mask * strength * random.normal() * 0.1, 0.3, 3.0);
        changed |= factor != 1;
        mutated[i][axis] = std::max(anchors[i][axis] * factor, 2.0);
      }
  }
  return mutated;
}

}  // namespace

std::vector<Size2> label_sizes(const Dataset& dataset, const AnchorParams& params, bool vary,
                               std::span<const int> classes) {
  std::vector<Size2> sizes;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Sample& sample = dataset.sample(i);
    double scale = double(params.img_size) / std::max({1, sample.width, sample.height});
    if (vary) scale *= RandomStream(params.seed, kVaryStream, uint64_t(i)).uniform(0.9, 1.1);
    for (const Label& l : sample.labels)
      if (classes.empty() || std::find(classes.begin(), classes.end(), l.cls) != classes.end())
        sizes.push_back({l.w * sample.width * scale, l.h * sample.height * scale});
  }
  return sizes;
}

AnchorMetrics measure_anchors(std::span<const Size2> sizes, std::span<const Size2> anchors,
                              double threshold) {
  AnchorMetrics metrics;
  for (const Size2& label : sizes) {
    const auto fitting = std::count_if(anchors.begin(), anchors.end(), [&](const Size2& anchor) {
      return fit(label, anchor) > 1 / threshold;
    });
    metrics.recall += fitting > 0;
    metrics.per_label += double(fitting);
    metrics.mean_iou += best_of<iou>(label, anchors);
  }
  const double n = double(std::max<size_t>(1, sizes.size()));
  return {metrics.recall / n, metrics.per_label / n, metrics.mean_iou / n};
}

double anchor_fitness(std::span<const Size2> sizes, std::span<const Size2> anchors,
                      const AnchorParams& params) {
  const bool by_iou = params.metric == AnchorMetric::kIou;
  double sum = 0;
  for (const Size2& label : sizes) {
    const double best = by_iou ? best_of<iou>(label, anchors) : best_of<fit>(label, anchors);
    if (by_iou || best > 1 / params.threshold) sum += best;
  }
  return sum / double(std::max<size_t>(1, sizes.size()));
}

std::vector<Size2> find_anchors(std::span<const Size2> sizes, int count, const AnchorParams& params) {
  MTYOLO_CHECK(count >= 1 && params.threshold > 1, "find_anchors: {} anchors, threshold {}", count,
               params.threshold);
  RandomStream random(params.seed, kSearchStream, 0);
  const std::vector<Size2> usable = usable_sizes(sizes, random);
  if (usable.size() < 3 * size_t(count)) return {};
  const Size2 unit = params.metric == AnchorMetric::kIou ? Size2{1, 1} : deviation(usable);
  std::vector<Size2> points = usable;
  for (Size2& p : points) p = {p[0] / unit[0], p[1] / unit[1]};
  std::vector<Size2> anchors = k_means(points, size_t(count), params.metric, random);
  for (Size2& a : anchors) a = {a[0] * unit[0], a[1] * unit[1]};
  fill_up(anchors, size_t(count), usable, random);
  double fitness = anchor_fitness(usable, anchors, params);
  for (int i = 0; i < params.generations; ++i) {
    std::vector<Size2> candidate = mutate(anchors, random);
    const double its_fitness = anchor_fitness(usable, candidate, params);
    if (its_fitness <= fitness) continue;
    fitness = its_fitness;
    anchors = std::move(candidate);
  }
  sort_by_area(anchors);
  return anchors;
}

AnchorReport check_anchors(const Dataset& dataset, const std::vector<Size2>& anchors,
                           const AnchorParams& params) {
  const std::vector<Size2> sizes = label_sizes(dataset, params, false);
  const std::vector<Size2> varied = label_sizes(dataset, params, true);
  AnchorReport report{
      anchors, measure_anchors(varied, anchors, params.threshold), {}, false, int64_t(sizes.size()), 0, {}};
  report.after = report.before;
  report.small =
      std::count_if(sizes.begin(), sizes.end(), [](const Size2& s) { return s[0] < 3 || s[1] < 3; });
  report.message = fmt::format("anchors: best possible recall {:.4f}, {:.2f} anchors per label",
                               report.before.recall, report.before.per_label);
  if (sizes.empty()) report.message = "anchors: no labels to compare with; kept";
  if (sizes.empty() || report.before.recall >= kEnoughRecall) return report;
  const std::vector<Size2> found = find_anchors(sizes, int(anchors.size()), params);
  if (found.empty()) {
    report.message += fmt::format("; too few of the {} labels are large enough to find {} better ones: kept",
                                  report.labels, anchors.size());
    return report;
  }
  const AnchorMetrics metrics = measure_anchors(varied, found, params.threshold);
  report.replaced = metrics.recall > report.before.recall;
  if (report.replaced) {
    report.anchors = found;
    report.after = metrics;
  }
  report.message += fmt::format("; new ones reach {:.4f} and {:.2f}: {}", metrics.recall, metrics.per_label,
                                report.replaced ? "replaced" : "kept");
  return report;
}

}  // namespace mtyolo::data

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/error.h"
#include "train/box_overlap.h"
#include "train/metrics.h"
#include "train/sort_descending.h"

namespace mtyolo::train {
namespace {

constexpr double kEps = 1e-16;

// The reference compares with thresholds in f32.
double threshold(int j) { return double(float(0.5 + 0.05 * j)); }

// numpy's interp on ascending x: at repeated x the last point counts.
double interpolate(double at, const std::vector<double>& x, const std::vector<double>& y, double left) {
  if (at < x.front()) return left;
  if (at >= x.back()) return y.back();
  const size_t j = size_t(std::upper_bound(x.begin(), x.end(), at) - x.begin()) - 1;
  return (y[j + 1] - y[j]) / (x[j + 1] - x[j]) * (at - x[j]) + y[j];
}

double grid_point(int i, int points) { return i == points - 1 ? 1.0 : i * (1.0 / (points - 1)); }

// The curve closed at both ends, precision made non-increasing.
struct Envelope {
  std::vector<double> recall, precision;

  Envelope(const std::vector<double>& r, const std::vector<double>& p, ApRule rule) {
    recall.push_back(0);
    recall.insert(recall.end(), r.begin(), r.end());
    recall.push_back(rule == ApRule::kV5 ? 1.0 : r.back() + 0.01);
    precision.push_back(1);
    precision.insert(precision.end(), p.begin(), p.end());
    precision.push_back(0);
    for (size_t i = precision.size() - 1; i > 0; --i)
      precision[i - 1] = std::max(precision[i - 1], precision[i]);
  }
  double at(double r) const { return interpolate(r, recall, precision, 1); }
  double area() const {  // trapezoids between 101 recalls
    constexpr int kPoints = 101;
    double sum = 0;
    for (int i = 1; i < kPoints; ++i) {
      const double a = grid_point(i - 1, kPoints), b = grid_point(i, kPoints);
      sum += (b - a) * (at(a) + at(b)) / 2;
    }
    return sum;
  }
};

struct Judged {
  float score;
  uint16_t correct;  // as match_detections
};

// The detections of one class over all images, by decreasing score.
struct ClassData {
  std::vector<Judged> found;
  int64_t labels = 0, images = 0;
};

std::vector<ClassData> gather(const std::vector<ImageResult>& images, int nc) {
  std::vector<ClassData> data{size_t(nc)};
  for (const ImageResult& image : images) {
    std::set<int> present;
    for (const TruthBox& t : image.truth) {
      if (t.crowd) continue;
      ++data.at(size_t(t.cls)).labels;
      present.insert(t.cls);
    }
    for (const int c : present) ++data[size_t(c)].images;
    const std::vector<uint16_t> correct = match_detections(image);
    for (size_t i = 0; i < correct.size(); ++i)
      data.at(size_t(image.found[i].cls)).found.push_back({image.found[i].score, correct[i]});
  }
  for (ClassData& c : data) sort_descending(c.found, [](const Judged& d) { return d.score; });
  return data;
}

// Recall and precision after each detection.
void running(const ClassData& c, int j, std::vector<double>& recall, std::vector<double>& precision) {
  recall.clear();
  precision.clear();
  double hits = 0;
  for (size_t i = 0; i < c.found.size(); ++i) {
    hits += (c.found[i].correct >> j) & 1;
    recall.push_back(hits / (double(c.labels) + kEps));
    precision.push_back(hits / double(i + 1));
  }
}

// Adds the curves of one class and returns its APs.
std::array<double, kIouThresholds> add_curves(const ClassData& c, ApRule rule, Curves& curves) {
  for (auto* curve : {&curves.precision, &curves.recall, &curves.f1, &curves.pr})
    curve->emplace_back(size_t(kCurvePoints), 0.0);
  std::array<double, kIouThresholds> ap{};
  if (c.found.empty()) return ap;
  std::vector<double> recall, precision, minus_score;
  for (const Judged& d : c.found) minus_score.push_back(-double(d.score));
  for (int j = 0; j < kIouThresholds; ++j) {
    running(c, j, recall, precision);
    const Envelope envelope(recall, precision, rule);
    ap[size_t(j)] = envelope.area();
    if (j > 0) continue;
    for (int i = 0; i < kCurvePoints; ++i) {
      const double x = grid_point(i, kCurvePoints);
      const double r = interpolate(-x, minus_score, recall, 0);
      const double p = interpolate(-x, minus_score, precision, 1);
      curves.recall.back()[size_t(i)] = r;
      curves.precision.back()[size_t(i)] = p;
      curves.f1.back()[size_t(i)] = 2 * p * r / (p + r + kEps);
      curves.pr.back()[size_t(i)] = envelope.at(x);
    }
  }
  return ap;
}

size_t best_f1(const Curves& curves) {
  std::vector<double> sum(size_t(kCurvePoints), 0.0);
  for (const auto& f1 : curves.f1)
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += f1[i];
  return size_t(std::max_element(sum.begin(), sum.end()) - sum.begin());
}

void take_means(Metrics& m) {
  m.labels = 0;
  for (const ClassMetrics& c : m.classes) {
    m.precision += c.precision;
    m.recall += c.recall;
    m.map50 += c.ap50();
    m.map75 += c.ap75();
    m.map50_95 += c.ap50_95();
    m.labels += c.labels;
  }
  const double n = std::max<double>(1, double(m.classes.size()));
  for (double* sum : {&m.precision, &m.recall, &m.map50, &m.map75, &m.map50_95}) *sum /= n;
}

}  // namespace

std::vector<uint16_t> match_detections(const ImageResult& image) {
  std::vector<uint16_t> correct(image.found.size(), 0);
  std::vector<bool> taken(image.truth.size(), false);
  for (size_t i = 0; i < image.found.size(); ++i) {
    const ScoredBox& d = image.found[i];
    double best = -1;
    size_t target = 0;
    for (size_t t = 0; t < image.truth.size(); ++t) {
      if (image.truth[t].cls != d.cls || image.truth[t].crowd) continue;
      const double iou = box_iou(d, image.truth[t]);
      if (iou > best) best = iou, target = t;
    }
    // A detection whose best object is taken is wrong, even where a second one would fit.
    if (best <= threshold(0) || taken[target]) continue;
    taken[target] = true;
    for (int j = 0; j < kIouThresholds; ++j)
      if (best > threshold(j)) correct[i] = uint16_t(correct[i] | 1u << j);
  }
  return correct;
}

double ClassMetrics::ap50_95() const {
  return std::accumulate(ap.begin(), ap.end(), 0.0) / double(kIouThresholds);
}

Metrics yolo_metrics(const std::vector<ImageResult>& images, int nc, ApRule rule) {
  Metrics m;
  const std::vector<ClassData> data = gather(images, nc);
  for (int c = 0; c < nc; ++c) {
    const ClassData& d = data[size_t(c)];
    if (d.labels == 0) continue;
    ClassMetrics& out = m.classes.emplace_back();
    out.cls = c;
    out.images = d.images;
    out.labels = d.labels;
    out.ap = add_curves(d, rule, m.curves);
  }
  const size_t best = best_f1(m.curves);
  m.confidence = grid_point(int(best), kCurvePoints);
  for (size_t i = 0; i < m.classes.size(); ++i) {
    m.classes[i].precision = m.curves.precision[i][best];
    m.classes[i].recall = m.curves.recall[i][best];
    m.classes[i].f1 = m.curves.f1[i][best];
  }
  m.images = int64_t(images.size());
  take_means(m);
  return m;
}

Metrics restrict_to(const Metrics& all, const std::vector<int>& classes) {
  Metrics m;
  m.images = all.images;
  m.confidence = all.confidence;
  for (size_t i = 0; i < all.classes.size(); ++i) {
    if (std::find(classes.begin(), classes.end(), all.classes[i].cls) == classes.end()) continue;
    m.classes.push_back(all.classes[i]);
    m.curves.precision.push_back(all.curves.precision[i]);
    m.curves.recall.push_back(all.curves.recall[i]);
    m.curves.f1.push_back(all.curves.f1[i]);
    m.curves.pr.push_back(all.curves.pr[i]);
  }
  take_means(m);
  return m;
}

}  // namespace mtyolo::train

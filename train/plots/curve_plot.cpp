#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

constexpr int kWidth = 2400, kHeight = 1500, kText = 28;
constexpr double kMostName = 460;
// Up to this many classes have a line of their own style; of more, the best and the worst are named.
constexpr size_t kNamedClasses = 20, kExtremes = 5;

struct CurveSpec {
  const char *name, *title, *x, *y;
};
constexpr CurveSpec kSpecs[] = {{"PR_curve", "Precision against recall", "recall", "precision"},
                                {"F1_curve", "F1 against confidence", "confidence", "F1"},
                                {"P_curve", "Precision against confidence", "confidence", "precision"},
                                {"R_curve", "Recall against confidence", "confidence", "recall"}};

const std::vector<std::vector<double>>& curves_of(const Metrics& m, CurveKind kind) {
  switch (kind) {
    case CurveKind::kPrecisionRecall:
      return m.curves.pr;
    case CurveKind::kF1:
      return m.curves.f1;
    case CurveKind::kPrecision:
      return m.curves.precision;
    default:
      return m.curves.recall;
  }
}

double value_of(const ClassMetrics& c, CurveKind kind) {
  switch (kind) {
    case CurveKind::kPrecisionRecall:
      return c.ap50();
    case CurveKind::kF1:
      return c.f1;
    case CurveKind::kPrecision:
      return c.precision;
    default:
      return c.recall;
  }
}

std::vector<double> mean_of(const std::vector<std::vector<double>>& curves, size_t count) {
  const size_t points = curves.empty() ? 0 : curves[0].size();
  std::vector<double> mean(points);
  for (size_t p = 0; p < points; ++p) {
    double sum = 0;
    int n = 0;
    for (size_t c = 0; c < count; ++c)
      if (p < curves[c].size() && std::isfinite(curves[c][p])) sum += curves[c][p], ++n;
    mean[p] = n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
  }
  return mean;
}

std::vector<double> steps(size_t points) {
  std::vector<double> xs(points);
  for (size_t i = 0; i < points; ++i) xs[i] = points > 1 ? double(i) / double(points - 1) : 0;
  return xs;
}

std::string mean_text(CurveKind kind, const Metrics& m, const std::vector<double>& mean) {
  if (kind == CurveKind::kPrecisionRecall) return fmt::format("{:.3f}  all classes, mAP@0.5", m.map50);
  const double at = std::clamp(std::isfinite(m.confidence) ? m.confidence : 0, 0.0, 1.0);
  const double value = mean.empty() ? 0 : mean[size_t(std::lrint(at * double(mean.size() - 1)))];
  return fmt::format("{:.3f}  all classes, at {:.3f}", value, at);
}

// A class with a style of its own.
struct NamedCurve {
  size_t index = 0;  // into the curves
  LegendEntry entry;
};

// All classes by falling value; of many only the ends of that list, the low one dashed.
std::vector<NamedCurve> named_curves(CurveKind kind, const Metrics& m, const ClassTable& table,
                                     size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  // A value that is not a number counts as the lowest.
  const auto rank = [&](size_t i) {
    const double v = value_of(m.classes[i], kind);
    return std::pair(std::isfinite(v) ? -v : 1, i);
  };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rank(a) < rank(b); });
  const bool crowded = count > kNamedClasses;
  if (crowded) order.erase(order.begin() + kExtremes, order.end() - std::ptrdiff_t(kExtremes));
  const size_t solid = crowded ? kExtremes : 2 * kExtremes;
  std::vector<NamedCurve> named;
  for (size_t i = 0; i < order.size(); ++i) {
    const ClassMetrics& c = m.classes[order[i]];
    const std::string name = fit_text(table.label(c.cls), kText, kMostName);
    named.push_back({order[i],
                     {fmt::format("{:.3f}  {}", value_of(c, kind), name),
                      {3, series_colour(i), 0.9, i < solid ? 0.0 : 9.0},
                      false}});
  }
  return named;
}

}  // namespace

const char* curve_name(CurveKind kind) { return kSpecs[size_t(kind)].name; }

data::Image draw_curve(CurveKind kind, const Metrics& metrics, const ClassTable& classes,
                       const std::string& subtitle) {
  const CurveSpec& spec = kSpecs[size_t(kind)];
  Canvas canvas(kWidth, kHeight);
  const double top = draw_heading(canvas, spec.title, subtitle);
  const auto& curves = curves_of(metrics, kind);
  const size_t count = std::min(curves.size(), metrics.classes.size());
  const std::vector<double> mean = mean_of(curves, count);
  const Stroke bold{7, kInk, 1, 0}, thin{2, kAxis, 0.45, 0};
  const std::vector<NamedCurve> named = named_curves(kind, metrics, classes, count);
  std::vector<LegendEntry> legend{{mean_text(kind, metrics, mean), bold, false}};
  if (named.size() < count)
    legend.push_back({fmt::format("each of {} classes", count), {2, kAxis, 1, 0}, false});
  double wide = 0;
  for (const NamedCurve& n : named) legend.push_back(n.entry);
  for (const LegendEntry& e : legend) wide = std::max(wide, kText * 2.2 + width_of(e.text, kText));
  Axes axes(canvas, {24, top, kWidth - wide - 50, kHeight - 16.0}, "", {{0, 1}, spec.x}, {{0, 1.005}, spec.y},
            kText);
  if (count == 0) {
    axes.say_empty("no labelled objects to measure against");
    return canvas.take();
  }
  for (size_t i = 0; i < count && named.size() < count; ++i)
    axes.line(steps(curves[i].size()), curves[i], thin);
  for (const NamedCurve& n : named) axes.line(steps(curves[n.index].size()), curves[n.index], n.entry.stroke);
  axes.line(steps(mean.size()), mean, bold);
  if (kind != CurveKind::kPrecisionRecall) {
    const double xs[] = {metrics.confidence, metrics.confidence}, ys[] = {0, 1};
    axes.line(xs, ys, {2, kMuted, 1, 8});
  }
  draw_legend(canvas, {kWidth - wide - 34, axes.frame().y1}, wide, axes.frame().y2, legend, kText);
  return canvas.take();
}

}  // namespace mtyolo::train

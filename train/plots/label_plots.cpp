#include <algorithm>
#include <cmath>
#include <tuple>

#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

constexpr int kText = 26, kSmall = 22;

std::string of(const std::string& split) { return split.empty() ? "" : " of " + split; }

bool usable(const BoxSample& b) {
  return std::isfinite(b.x) && std::isfinite(b.y) && std::isfinite(b.w) && std::isfinite(b.h) && b.w > 0 &&
         b.h > 0;
}

// x, y, w, h of the usable boxes.
std::array<std::vector<double>, 4> columns_of(std::span<const BoxSample> boxes) {
  std::array<std::vector<double>, 4> columns;
  for (const BoxSample& b : boxes)
    if (usable(b))
      columns[0].push_back(b.x), columns[1].push_back(b.y), columns[2].push_back(b.w),
          columns[3].push_back(b.h);
  return columns;
}

// One bar per class in the colour of its head, its count above where all counts have room.
void draw_class_bars(Canvas& canvas, const Box& outer, const std::string& title,
                     std::span<const BoxSample> boxes, const ClassTable& classes) {
  std::vector<double> counts(size_t(classes.size()));
  for (const BoxSample& b : boxes)
    if (b.cls >= 0 && b.cls < classes.size()) counts[size_t(b.cls)] += 1;
  const double most = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  const int n = classes.size();
  constexpr double kMostName = 300;
  const double slot = (outer.width() - 120) / std::max(1, n);
  const int size = std::clamp(int(slot * 0.85), 17, kText), every = std::max(1, int(std::ceil(size / slot)));
  double widest = 0, widest_count = 0;
  for (int c = 0; c < n; ++c) {
    widest = std::max(widest, double(width_of(fit_text(classes.label(c), size, kMostName), size)));
    widest_count = std::max(widest_count, double(width_of(short_number(counts[size_t(c)]), kSmall)));
  }
  const bool upright = widest > slot * 0.95;
  const Box chart{outer.x1, outer.y1, outer.x2, outer.y2 - (upright ? widest + 10 : 40)};
  Axes axes(canvas, chart, title, {{0, std::max(1.0, double(n))}, "", true, true},
            {{0, std::max(1.0, most * 1.08)}, "", true}, kText);
  if (most == 0) axes.say_empty();
  for (int c = 0; c < n; ++c) {
    const double count = counts[size_t(c)], middle = axes.to_x(c + 0.5);
    const double half = std::min(0.4, 90 / (axes.to_x(1) - axes.to_x(0)));
    if (count > 0)
      axes.bar(c + 0.5 - half, c + 0.5 + half, count, series_colour(size_t(classes.head_index(c))));
    if (most > 0 && widest_count < slot)
      canvas.text({middle, axes.to_y(count) - 16}, short_number(count),
                  {kSmall, kMuted, FontWeight::kRegular, Align::kCentre});
    if (c % every != 0) continue;
    TextStyle style{size, kInk, FontWeight::kRegular, upright ? Align::kEnd : Align::kCentre};
    style.vertical = upright;
    canvas.text({middle, axes.frame().y2 + (upright ? 12 : 26)}, fit_text(classes.label(c), size, kMostName),
                style);
  }
}

// The colours of the bars, in the upper right corner.
void draw_head_names(Canvas& canvas, const ClassTable& classes) {
  double x = canvas.width() - 20;
  for (size_t h = classes.heads().size(); h-- > 0 && classes.heads().size() > 1;) {
    const std::string name = fit_text(classes.heads()[h], kText, 400);
    canvas.text({x, 94}, name, {kText, kInk, FontWeight::kRegular, Align::kEnd});
    x -= width_of(name, kText) + 36;
    canvas.fill({x, 82, x + 24, 106}, series_colour(h));
    x -= 40;
  }
}

// Up to a thousand boxes, evenly picked, on top of each other at the middle, small ones last.
void draw_overlay(Canvas& canvas, const Box& outer, std::span<const BoxSample> boxes,
                  const ClassTable& classes) {
  constexpr size_t kMost = 1000;
  Axes axes(canvas, outer, "box shapes, centred", {{0, 1}, "width"}, {{0, 1}, "height"}, kText);
  const size_t step = std::max<size_t>(1, (boxes.size() + kMost - 1) / kMost);
  std::vector<BoxSample> shown;
  for (size_t i = 0; i < boxes.size(); i += step)
    if (usable(boxes[i])) shown.push_back(boxes[i]);
  if (shown.empty()) return axes.say_empty();
  const auto rank = [](const BoxSample& b) { return std::tuple(-b.w * b.h, b.w, b.cls); };
  std::sort(shown.begin(), shown.end(),
            [&](const BoxSample& a, const BoxSample& b) { return rank(a) < rank(b); });
  const double alpha = std::clamp(8 / std::sqrt(double(shown.size())), 0.25, 0.8);
  canvas.clip(axes.frame());
  for (const BoxSample& b : shown) {
    const double x1 = axes.to_x(0.5 - b.w / 2), x2 = axes.to_x(0.5 + b.w / 2), y1 = axes.to_y(0.5 + b.h / 2),
                 y2 = axes.to_y(0.5 - b.h / 2);
    const Place corners[] = {{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}, {x1, y1}};
    canvas.polyline(corners, {1.5, classes.colour(b.cls), alpha, 0});
  }
  canvas.unclip();
}

// Cells per side of a map of n points: a handful of points each.
int cells_for(size_t n) { return std::clamp(int(std::sqrt(double(n) / 3)), 12, 60); }

void draw_heat(Canvas& canvas, const Box& outer, const std::string& title, std::span<const double> xs,
               std::span<const double> ys, const AxisSpec& x, const AxisSpec& y) {
  Axes axes(canvas, outer, title, x, y, kText);
  const int cells = cells_for(xs.size());
  axes.histogram2d(count2d(xs, ys, x.range, y.range, cells, cells), cells);
  if (xs.empty()) axes.say_empty();
}

// Of values in 0..1, as bars.
void draw_distribution(Canvas& canvas, const Box& outer, const std::string& label,
                       std::span<const double> values, const AxisSpec& x) {
  constexpr int kBars = 40;
  const std::vector<double> zeros(values.size(), 0.5);
  const std::vector<double> counts = count2d(values, zeros, x.range, {0, 1}, kBars, 1);
  const double most = *std::max_element(counts.begin(), counts.end());
  Axes axes(canvas, outer, label, x, {{0, std::max(1.0, most * 1.05)}, "", true}, kText);
  const double step = x.range.span() / kBars;
  for (int i = 0; i < kBars; ++i)
    if (counts[size_t(i)] > 0)
      axes.bar(x.range.low + i * step, x.range.low + (i + 0.92) * step, counts[size_t(i)], series_colour(0));
  if (most == 0) axes.say_empty();
}

}  // namespace

std::vector<BoxSample> collect_boxes(const data::Dataset& dataset) {
  std::vector<BoxSample> boxes;
  for (int64_t i = 0; i < dataset.size(); ++i)
    for (const data::Label& l : dataset.sample(i).labels) boxes.push_back({l.cls, l.x, l.y, l.w, l.h});
  return boxes;
}

data::Image draw_labels(std::span<const BoxSample> boxes, const ClassTable& classes,
                        const std::string& split) {
  constexpr int kWide = 2400, kTop = 130, kBars = 900, kMap = 800;
  Canvas canvas(kWide, kTop + kBars + kMap + 30);
  draw_heading(canvas, "Labels" + of(split),
               fmt::format("{} boxes, {} class{}", grouped(int64_t(boxes.size())), classes.size(),
                           classes.size() == 1 ? "" : "es"));
  const auto columns = columns_of(boxes);
  const auto map = [&](int column) {
    return Box{24.0 + column * (kMap - 10), kTop + kBars, 10.0 + (column + 1) * (kMap - 10),
               kTop + kBars + kMap};
  };
  draw_head_names(canvas, classes);
  draw_class_bars(canvas, {24, kTop, kWide, kTop + kBars - 30.0}, "objects per class", boxes, classes);
  // Pictures have y downwards: the axis is turned so that the map looks like the picture.
  const AxisSpec down{{1, 0}, "y"};
  draw_heat(canvas, map(0), "centres of boxes", columns[0], columns[1], {{0, 1}, "x"}, down);
  draw_heat(canvas, map(1), "sizes of boxes", columns[2], columns[3], {{0, 1}, "width"}, {{0, 1}, "height"});
  draw_overlay(canvas, map(2), boxes, classes);
  return canvas.take();
}

data::Image draw_class_counts(std::span<const SplitBoxes> splits, const ClassTable& classes) {
  constexpr int kWide = 2400, kTop = 130, kRow = 700;
  Canvas canvas(kWide, kTop + kRow * std::max(1, int(splits.size())));
  draw_heading(canvas, "Objects per class",
               fmt::format("{} class{}, {} split{}", classes.size(), classes.size() == 1 ? "" : "es",
                           splits.size(), splits.size() == 1 ? "" : "s"));
  draw_head_names(canvas, classes);
  for (size_t i = 0; i < splits.size(); ++i) {
    const double top = kTop + double(i) * kRow;
    draw_class_bars(canvas, {24, top, kWide, top + kRow - 30},
                    fmt::format("{}: {} boxes", splits[i].name, grouped(int64_t(splits[i].boxes.size()))),
                    splits[i].boxes, classes);
  }
  return canvas.take();
}

data::Image draw_label_correlogram(std::span<const BoxSample> boxes, const std::string& split) {
  constexpr int kSide = 620, kTop = 130;
  constexpr const char* kNames[] = {"x", "y", "width", "height"};
  Canvas canvas(4 * kSide + 60, kTop + 4 * kSide + 20);
  draw_heading(canvas, "Correlogram of labels" + of(split),
               fmt::format("{} boxes, relative to the image; darker = more", grouped(int64_t(boxes.size()))));
  const auto columns = columns_of(boxes);
  const auto spec = [&](int i) { return AxisSpec{{0, 1}, kNames[i]}; };
  for (int row = 0; row < 4; ++row)
    for (int column = 0; column <= row; ++column) {
      const Box outer{24.0 + column * kSide, double(kTop + row * kSide), 8.0 + (column + 1) * kSide,
                      double(kTop + (row + 1) * kSide)};
      if (row == column) draw_distribution(canvas, outer, kNames[row], columns[size_t(row)], spec(row));
      else
        draw_heat(canvas, outer, "", columns[size_t(column)], columns[size_t(row)], spec(column), spec(row));
    }
  return canvas.take();
}

}  // namespace mtyolo::train

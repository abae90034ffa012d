#include "train/plots/chart.h"

#include <algorithm>
#include <cmath>

namespace mtyolo::train {
namespace {

constexpr Rgb kSeries[] = {{0, 114, 178},  {213, 94, 0},  {0, 158, 115},  {170, 68, 153}, {230, 159, 0},
                           {86, 180, 233}, {136, 34, 85}, {102, 102, 51}, {51, 34, 136},  {120, 120, 120}};
constexpr Rgb kHeat[] = {{255, 255, 255}, {222, 235, 247}, {198, 219, 239}, {158, 202, 225}, {107, 174, 214},
                         {66, 146, 198},  {33, 113, 181},  {8, 81, 156},    {8, 48, 107}};

// "%g"-like text of a tick at a step, with the decimals the step needs.
std::string tick_label(double value, double step) {
  if (std::abs(value) < step * 1e-6) return "0";
  const double size = std::abs(value);
  if (size >= 1e6 || step < 1e-5) return fmt::format("{:.3g}", value);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  int decimals = 0;
  for (double s = step; decimals < 6 && std::abs(s - std::round(s)) > 1e-6 * s; s *= 10) ++decimals;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

Rgb series_colour(size_t index) { return kSeries[index % std::size(kSeries)]; }

Rgb heat_colour(double share) {
  constexpr int kLast = int(std::size(kHeat)) - 1;
  const double at = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) * kLast : 0;
  const int low = std::min(int(at), kLast - 1);
  const double t = at - low;
  const Rgb a = kHeat[low], b = kHeat[low + 1];
  const auto mix = [t](uint8_t u, uint8_t v) { return uint8_t(std::lrint(u + (v - u) * t)); };
  return {mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b)};
}

Rgb readable_on(Rgb ground) {
  return 0.299 * ground.r + 0.587 * ground.g + 0.114 * ground.b > 140 ? kInk : kWhite;
}

Range range_of(std::span<const double> values) {
  constexpr double kMost = 1e300;  // the span of two such numbers is still finite
  Range r{std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest()};
  for (const double v : values)
    if (std::abs(v) < kMost) r = {std::min(r.low, v), std::max(r.high, v)};
  if (r.low > r.high) return {0, 1};
  const double least = std::max(std::abs(r.high) * 1e-6, 1e-12);
  if (r.span() >= least) return r;
  const double half = r.high == 0 ? 0.5 : std::abs(r.high) * 0.1;
  return {r.low - half, r.high + half};
}

Range padded(Range range, double share) {
  return {range.low - range.span() * share, range.high + range.span() * share};
}

Ticks nice_ticks(Range range, int most, bool whole_numbers) {
  Ticks ticks;
  if (range.span() < 0) std::swap(range.low, range.high);
  if (!(range.span() > 0) || !std::isfinite(range.span())) return ticks;
  const double least = range.span() / std::max(1, most), power = std::pow(10, std::floor(std::log10(least)));
  double step = 0;
  for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0}) {
    step = factor * power;
    const double first = std::ceil(range.low / step - 1e-9), last = std::floor(range.high / step + 1e-9);
    if (whole_numbers && (step < 1 || step != std::round(step))) continue;
    if (last - first + 1 <= most) break;
  }
  if (whole_numbers) step = std::max(step, 1.0);
  const double first = std::ceil(range.low / step - 1e-9);
  for (double n = first; n * step <= range.high + step * 1e-9 && int(ticks.at.size()) < most + 2; ++n) {
    ticks.at.push_back(n == 0 ? 0 : n * step);
    ticks.labels.push_back(tick_label(n * step, step));
  }
  return ticks;
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g}k", value / 1e3);
  if (size >= 0.01 && size < 1) return fmt::format("{:.3f}", value);
  return fmt::format("{:.4g}", value);
}

std::string grouped(int64_t value) {
  std::string text = fmt::format("{}", value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t at = text.size(); at > first + 3;) text.insert(at -= 3, ",");
  return text;
}

// The ticks of an axis; of one in powers of two "16", "32", ...
static Ticks ticks_of(const AxisSpec& axis, int most) {
  if (axis.hidden) return {};
  Ticks ticks = nice_ticks(axis.range, most, axis.whole_numbers || axis.powers_of_two);
  if (axis.powers_of_two)
    for (size_t i = 0; i < ticks.at.size(); ++i)
      ticks.labels[i] = fmt::format("{:g}", std::exp2(ticks.at[i]));
  return ticks;
}

Axes::Axes(Canvas& canvas, const Box& outer, std::string title, AxisSpec x, AxisSpec y, int text_size)
    : canvas_(canvas), size_(text_size), x_(std::move(x)), y_(std::move(y)) {
  const double s = text_size;
  const int most_rows = std::max(2, int(outer.height() / (s * 3)));
  const Ticks rows = ticks_of(y_, std::min(8, most_rows));
  double widest = 0;
  for (const std::string& label : rows.labels) widest = std::max(widest, double(width_of(label, text_size)));
  frame_ = {outer.x1 + widest + s * 0.6 + (y_.label.empty() ? 0 : s * 1.5),
            outer.y1 + (title.empty() ? s * 0.6 : s * 2.1), outer.x2 - s * 0.8,
            outer.y2 - (x_.hidden ? s * 0.3 : s * 1.5) - (x_.label.empty() ? 0 : s * 1.3)};
  title_y_ = outer.y1 + s * 1.0;
  const int most_columns = std::max(2, int(frame_.width() / (s * 3.6)));
  const Ticks columns = ticks_of(x_, std::min(11, most_columns));
  draw_grid(columns, rows);
  canvas_.text({frame_.x1, title_y_}, fit_text(title, int(s * 1.15), frame_.width()),
               {int(s * 1.15), kInk, FontWeight::kRegular});
  canvas_.text({(frame_.x1 + frame_.x2) / 2, outer.y2 - s * 0.7}, x_.label,
               {text_size, kMuted, FontWeight::kRegular, Align::kCentre});
  canvas_.text({outer.x1 + s * 0.7, (frame_.y1 + frame_.y2) / 2}, y_.label,
               {text_size, kMuted, FontWeight::kRegular, Align::kCentre, Align::kCentre, true});
}

void Axes::draw_grid(const Ticks& xs, const Ticks& ys) {
  TextStyle style{size_, kMuted, FontWeight::kRegular, Align::kCentre, Align::kStart};
  for (size_t i = 0; i < xs.at.size(); ++i) {
    const double x = to_x(xs.at[i]);
    canvas_.fill({x - 0.5, frame_.y1, x + 1.5, frame_.y2}, kGrid);
    canvas_.text({x, frame_.y2 + size_ * 0.3}, xs.labels[i], style);
  }
  style.across = Align::kEnd, style.down = Align::kCentre;
  for (size_t i = 0; i < ys.at.size(); ++i) {
    const double y = to_y(ys.at[i]);
    canvas_.fill({frame_.x1, y - 0.5, frame_.x2, y + 1.5}, kGrid);
    canvas_.text({frame_.x1 - size_ * 0.4, y}, ys.labels[i], style);
  }
  canvas_.fill({frame_.x1 - 1, frame_.y1, frame_.x1 + 1, frame_.y2 + 1}, kAxis);
  canvas_.fill({frame_.x1 - 1, frame_.y2 - 1, frame_.x2, frame_.y2 + 1}, kAxis);
}

void Axes::line(std::span<const double> xs, std::span<const double> ys, const Stroke& stroke) {
  std::vector<Place> points;
  for (size_t i = 0; i < std::min(xs.size(), ys.size()); ++i) points.push_back({to_x(xs[i]), to_y(ys[i])});
  const double w = stroke.width;
  canvas_.clip({frame_.x1 - w, frame_.y1 - w, frame_.x2 + w, frame_.y2 + w});
  canvas_.polyline(points, stroke);
  canvas_.unclip();
}

void Axes::dots(std::span<const double> xs, std::span<const double> ys, double radius, Rgb colour,
                double alpha) {
  canvas_.clip({frame_.x1 - radius, frame_.y1 - radius, frame_.x2 + radius, frame_.y2 + radius});
  for (size_t i = 0; i < std::min(xs.size(), ys.size()); ++i)
    canvas_.disc({to_x(xs[i]), to_y(ys[i])}, radius, colour, alpha);
  canvas_.unclip();
}

void Axes::bar(double x1, double x2, double y, Rgb colour) {
  if (!std::isfinite(y)) return;
  canvas_.clip({frame_.x1, frame_.y1, frame_.x2, frame_.y2 - 1});
  canvas_.fill({to_x(x1), to_y(y), to_x(x2), to_y(0)}, colour);
  canvas_.unclip();
}

void Axes::histogram2d(std::span<const double> counts, int columns) {
  const int rows = columns > 0 ? int(counts.size()) / columns : 0;
  const double most = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  if (most <= 0) return;
  const double w = frame_.width() / columns, h = frame_.height() / std::max(1, rows);
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      const double n = counts[size_t(row * columns + column)];
      // A cell that holds anything stands out from the empty ones.
      if (n > 0)
        canvas_.fill({frame_.x1 + column * w, frame_.y2 - (row + 1) * h, frame_.x1 + (column + 1) * w,
                      frame_.y2 - row * h},
                     heat_colour(0.12 + 0.88 * std::sqrt(n / most)));
    }
}

void Axes::remark(const std::string& text) {
  canvas_.text({frame_.x2, title_y_}, text, {size_, kMuted, FontWeight::kRegular, Align::kEnd});
}

void Axes::say_empty(const std::string& text) {
  canvas_.text({(frame_.x1 + frame_.x2) / 2, (frame_.y1 + frame_.y2) / 2}, text,
               {size_, kAxis, FontWeight::kRegular, Align::kCentre});
}

void draw_legend(Canvas& canvas, Place at, double width, double bottom,
                 const std::vector<LegendEntry>& entries, int text_size) {
  const double line = text_size * 1.35;
  const size_t room = size_t(std::max(1.0, std::floor((bottom - at.y) / line)));
  const size_t shown = entries.size() <= room ? entries.size() : room - 1;
  for (size_t i = 0; i < shown; ++i) {
    const LegendEntry& e = entries[i];
    const double y = at.y + line * (double(i) + 0.5), s = text_size;
    const Place ends[] = {{at.x + 2, y}, {at.x + s * 1.5, y}};
    if (e.swatch) canvas.fill({at.x + s * 0.5, y - s * 0.4, at.x + s * 1.3, y + s * 0.4}, e.stroke.colour);
    else canvas.polyline(ends, e.stroke);
    canvas.text({at.x + s * 2, y}, fit_text(e.text, text_size, width - s * 2), {text_size});
  }
  if (shown < entries.size())
    canvas.text({at.x + text_size * 2.0, at.y + line * (double(shown) + 0.5)},
                fmt::format("and {} more", entries.size() - shown), {text_size, kMuted});
}

double draw_heading(Canvas& canvas, const std::string& title, const std::string& subtitle) {
  constexpr int kTitle = 40, kSubtitle = 26, kMargin = 40;
  canvas.text({kMargin, 50}, title, {kTitle, kInk, FontWeight::kBold});
  if (subtitle.empty()) return 90;
  canvas.text({kMargin, 94}, fit_text(subtitle, kSubtitle, canvas.width() - 2 * kMargin),
              {kSubtitle, kMuted});
  return 126;
}

std::vector<double> count2d(std::span<const double> xs, std::span<const double> ys, Range x, Range y,
                            int columns, int rows) {
  std::vector<double> counts(size_t(columns) * size_t(rows));
  for (size_t i = 0; i < std::min(xs.size(), ys.size()); ++i) {
    const double u = (xs[i] - x.low) / x.span(), v = (ys[i] - y.low) / y.span();
    if (!(u >= 0 && u <= 1 && v >= 0 && v <= 1)) continue;
    const int column = std::min(columns - 1, int(u * columns)), row = std::min(rows - 1, int(v * rows));
    counts[size_t(row * columns + column)] += 1;
  }
  return counts;
}

}  // namespace mtyolo::train

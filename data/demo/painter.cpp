#include "data/demo/painter.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mtyolo::data::demo {
namespace {

constexpr int kSub = 4;  // samples per pixel and axis

// Where the horizontal line at `y` crosses the outline, ascending.
void crossings(std::span<const Vec2> points, double y, std::vector<double>& at) {
  at.clear();
  for (size_t i = 0; i < points.size(); ++i) {
    const Vec2 a = points[i], b = points[(i + 1) % points.size()];
    if ((a.y <= y) != (b.y <= y)) at.push_back(a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x));
  }
  std::sort(at.begin(), at.end());
}

// Adds the samples between two crossings to the counts of one row of pixels.
void count_samples(double from, double to, std::vector<int>& row) {
  const double last = double(row.size()) * kSub;
  const auto sample = [&](double x) { return int64_t(std::clamp(std::ceil(x * kSub - 0.5), 0.0, last)); };
  for (int64_t s = sample(from), end = sample(to); s < end; ++s) ++row[size_t(s / kSub)];
}

}  // namespace

void PaintedBox::add(int x, int y) {
  x1 = std::min(x1, x);
  y1 = std::min(y1, y);
  x2 = std::max(x2, x + 1);
  y2 = std::max(y2, y + 1);
}

Rgb mix(Rgb a, Rgb b, double t) {
  const auto one = [t](uint8_t p, uint8_t q) { return uint8_t(std::lround(p + (q - p) * t)); };
  return {one(a.r, b.r), one(a.g, b.g), one(a.b, b.b)};
}

std::vector<Vec2> ellipse(Vec2 centre, double rx, double ry) {
  constexpr int kCorners = 28;
  std::vector<Vec2> points;
  for (int i = 0; i < kCorners; ++i) {
    const double angle = 2 * std::numbers::pi * i / kCorners;
    points.push_back({centre.x + rx * std::cos(angle), centre.y + ry * std::sin(angle)});
  }
  return points;
}

void fill_polygon(Image& image, std::span<const Vec2> points, Rgb colour, PaintedBox* box) {
  if (points.size() < 3) return;
  const auto [low, high] =
      std::minmax_element(points.begin(), points.end(), [](Vec2 a, Vec2 b) { return a.y < b.y; });
  const int first = std::max(0, int(std::floor(low->y)));
  const int last = std::min(image.height - 1, int(std::floor(high->y)));
  std::vector<double> at;
  std::vector<int> covered(size_t(image.width));
  for (int y = first; y <= last; ++y) {
    std::fill(covered.begin(), covered.end(), 0);
    for (int s = 0; s < kSub; ++s) {
      crossings(points, y + (s + 0.5) / kSub, at);
      for (size_t i = 0; i + 1 < at.size(); i += 2) count_samples(at[i], at[i + 1], covered);
    }
    uint8_t* row = image.row(y);
    for (int x = 0; x < image.width; ++x) {
      const int n = covered[size_t(x)];
      if (n == 0) continue;
      uint8_t* p = row + size_t(x) * 3;
      const Rgb c = mix({p[0], p[1], p[2]}, colour, double(n) / (kSub * kSub));
      p[0] = c.r;
      p[1] = c.g;
      p[2] = c.b;
      if (box != nullptr && 2 * n >= kSub * kSub) box->add(x, y);
    }
  }
}

}  // namespace mtyolo::data::demo

#include "data/augment/canvas.h"

#include <algorithm>
#include <cmath>

namespace mtyolo::data {

void Canvas::reset(int width, int height) {
  image.width = width;
  image.height = height;
  image.pixels.assign(size_t(width) * size_t(height) * 3, kPadValue);
  labels.clear();
  labelled = ~0ull;
}

PixelLabel to_pixels(const Label& label, double width, double height, double left, double top) {
  PixelLabel pixels{label.cls,
                    float(width * (label.x - label.w / 2) + left),
                    float(height * (label.y - label.h / 2) + top),
                    float(width * (label.x + label.w / 2) + left),
                    float(height * (label.y + label.h / 2) + top),
                    {}};
  pixels.polygon.reserve(label.polygon.size());
  for (const Point& p : label.polygon)
    pixels.polygon.push_back({float(width * p.x + left), float(height * p.y + top)});
  return pixels;
}

void clip_label(PixelLabel& label, float width, float height) {
  for (float* x : {&label.x1, &label.x2}) *x = std::clamp(*x, 0.0f, width);
  for (float* y : {&label.y1, &label.y2}) *y = std::clamp(*y, 0.0f, height);
  for (Point& p : label.polygon) p = {std::clamp(p.x, 0.0f, width), std::clamp(p.y, 0.0f, height)};
}

bool is_room(const std::vector<PixelLabel>& labels, const PixelLabel& box) {
  return std::all_of(labels.begin(), labels.end(), [&](const PixelLabel& l) {
    const double w = std::min(l.x2, box.x2) - std::max(l.x1, box.x1);
    const double h = std::min(l.y2, box.y2) - std::max(l.y1, box.y1);
    const double area = double(l.x2 - l.x1) * double(l.y2 - l.y1);
    return std::max(w, 0.0) * std::max(h, 0.0) / (area + 1e-16) < 0.30;
  });
}

void fill_polygon(const std::vector<Point>& polygon, int width, int height,
                  const std::function<void(int, int, int)>& fill) {
  const size_t n = polygon.size();
  const auto emit = [&](int y, double from, double to) {
    const int first = std::max(0, int(std::ceil(from))), last = std::min(width - 1, int(std::floor(to)));
    if (first <= last) fill(y, first, last);
  };
  const auto [top, bottom] = std::minmax_element(polygon.begin(), polygon.end(),
                                                 [](const Point& a, const Point& b) { return a.y < b.y; });
  if (n == 0) return;
  const int end = std::min(height, int(bottom->y) + 1);
  std::vector<double> crossings;
  for (int y = std::max(0, int(top->y)); y < end; ++y) {
    crossings.clear();
    for (size_t i = 0; i < n; ++i) {
      const double x0 = std::trunc(polygon[i].x), y0 = std::trunc(polygon[i].y);
      const double x1 = std::trunc(polygon[(i + 1) % n].x), y1 = std::trunc(polygon[(i + 1) % n].y);
      if (y0 == y1) {
        if (y0 == y) emit(y, std::min(x0, x1), std::max(x0, x1));
        continue;
      }
      const double x = x0 + (y - y0) * (x1 - x0) / (y1 - y0);
      if (y == std::max(y0, y1)) emit(y, x, x);  // the lower end opens no span: it counts for the next edge
      else if (y >= std::min(y0, y1) && y < std::max(y0, y1)) crossings.push_back(x);
    }
    std::sort(crossings.begin(), crossings.end());
    for (size_t i = 0; i + 1 < crossings.size(); i += 2) emit(y, crossings[i], crossings[i + 1]);
  }
}

}  // namespace mtyolo::data

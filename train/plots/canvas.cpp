#include "train/plots/canvas.h"

#include <algorithm>
#include <cmath>

namespace mtyolo::train {
namespace {

// Share of the line's height from its top to the middle of a capital letter, of the font's metrics.
constexpr double kCapitalMiddle = 0.484;

double distance_to_segment(double x, double y, Place a, Place b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
  const double t = length > 0 ? std::clamp(((x - a.x) * dx + (y - a.y) * dy) / length, 0.0, 1.0) : 0.0;
  return std::hypot(x - a.x - t * dx, y - a.y - t * dy);
}

bool is_finite(Place p) { return std::isfinite(p.x) && std::isfinite(p.y); }

// Far points are brought near, so that pixel numbers fit an int; a chart's lines hardly turn by it.
Place tame(Place p) { return {std::clamp(p.x, -1e5, 1e5), std::clamp(p.y, -1e5, 1e5)}; }

Box bounds(std::span<const Place> points, double margin) {
  Box b{1e9, 1e9, -1e9, -1e9};
  for (const Place& p : points)
    b = {std::min(b.x1, p.x - margin), std::min(b.y1, p.y - margin), std::max(b.x2, p.x + margin),
         std::max(b.y2, p.y + margin)};
  return b;
}

size_t next_character(const std::string& text, size_t at) {
  for (++at; at < text.size() && (text[at] & 0xc0) == 0x80;) ++at;
  return at;
}

}  // namespace

void Canvas::mix(int x, int y, Rgb colour, double share) {
  uint8_t* pixel = image_.row(y) + x * 3;
  const uint8_t ink[3] = {colour.r, colour.g, colour.b};
  if (share >= 1) {
    std::copy_n(ink, 3, pixel);
    return;
  }
  for (int c = 0; c < 3; ++c) pixel[c] = uint8_t(std::lrint(pixel[c] + (ink[c] - pixel[c]) * share));
}

Canvas::Area Canvas::pixels(const Box& box) const {
  const auto inside = [](double v, double low, double high, int limit) {
    return int(std::lrint(std::clamp(std::clamp(v, low, std::max(low, high)), 0.0, double(limit))));
  };
  return {inside(box.x1, clip_.x1, clip_.x2, image_.width), inside(box.y1, clip_.y1, clip_.y2, image_.height),
          inside(box.x2, clip_.x1, clip_.x2, image_.width),
          inside(box.y2, clip_.y1, clip_.y2, image_.height)};
}

void Canvas::fill(const Box& box, Rgb colour, double alpha) {
  if (!(box.x2 > box.x1 && box.y2 > box.y1)) return;
  const double x2 = std::max(box.x2, std::round(box.x1) + 1), y2 = std::max(box.y2, std::round(box.y1) + 1);
  const Area area = pixels({box.x1, box.y1, x2, y2});
  for (int y = area.y1; y < area.y2; ++y)
    for (int x = area.x1; x < area.x2; ++x) mix(x, y, colour, alpha);
}

void Canvas::frame(const Box& b, Rgb colour, int width) {
  fill({b.x1, b.y1, b.x2, b.y1 + width}, colour);
  fill({b.x1, b.y2 - width, b.x2, b.y2}, colour);
  fill({b.x1, b.y1, b.x1 + width, b.y2}, colour);
  fill({b.x2 - width, b.y1, b.x2, b.y2}, colour);
}

void Canvas::cover_segment(Place a, Place b, double radius, const Area& area) {
  const Place ends[] = {a, b};
  const Box box = bounds(ends, radius + 1);
  const int x1 = std::max(area.x1, int(std::floor(box.x1))), x2 = std::min(area.x2, int(std::ceil(box.x2)));
  const int y1 = std::max(area.y1, int(std::floor(box.y1))), y2 = std::min(area.y2, int(std::ceil(box.y2)));
  for (int y = y1; y < y2; ++y)
    for (int x = x1; x < x2; ++x) {
      const double d = distance_to_segment(x + 0.5, y + 0.5, a, b);
      const auto share = uint8_t(std::lrint(255 * std::clamp(radius + 0.5 - d, 0.0, 1.0)));
      uint8_t& held = coverage_[size_t(y - area.y1) * size_t(area.x2 - area.x1) + size_t(x - area.x1)];
      held = std::max(held, share);
    }
}

void Canvas::cover_dashes(std::span<const Place> run, double dash, double radius, const Area& area) {
  double travelled = 0;
  for (size_t i = 1; i < run.size(); ++i) {
    const Place a = run[i - 1], b = run[i];
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    for (double at = 0; at < length;) {
      const double phase = std::fmod(travelled, 2 * dash), left = (phase < dash ? dash : 2 * dash) - phase;
      const double end = std::min(length, at + std::max(left, 0.01));
      const auto place = [&](double t) {
        return Place{a.x + (b.x - a.x) * t / length, a.y + (b.y - a.y) * t / length};
      };
      if (phase < dash) cover_segment(place(at), place(end), radius, area);
      travelled += end - at;
      at = end;
    }
  }
}

void Canvas::polyline(std::span<const Place> points, const Stroke& stroke) {
  const double radius = stroke.width / 2;
  std::vector<Place> run;
  const auto draw_run = [&] {
    if (run.empty()) return;
    const Area area = pixels(bounds(run, radius + 2));
    if (area.x2 > area.x1 && area.y2 > area.y1) {
      coverage_.assign(size_t(area.x2 - area.x1) * size_t(area.y2 - area.y1), 0);
      if (run.size() == 1) cover_segment(run[0], run[0], radius, area);
      else if (stroke.dash > 0) cover_dashes(run, stroke.dash, radius, area);
      else
        for (size_t i = 1; i < run.size(); ++i) cover_segment(run[i - 1], run[i], radius, area);
      const uint8_t* share = coverage_.data();
      for (int y = area.y1; y < area.y2; ++y)
        for (int x = area.x1; x < area.x2; ++x, ++share)
          if (*share != 0) mix(x, y, stroke.colour, stroke.alpha * *share / 255);
    }
    run.clear();
  };
  for (const Place& p : points) {
    if (is_finite(p)) run.push_back(tame(p));
    else draw_run();
  }
  draw_run();
}

void Canvas::disc(Place centre, double radius, Rgb colour, double alpha) {
  polyline(std::span(&centre, 1), {2 * radius, colour, alpha, 0});
}

void Canvas::text(Place at, std::string_view words, const TextStyle& style) {
  if (words.empty()) return;
  const int length = data::text_width(words, style.size, style.weight);
  const auto share = [](Align a, double middle) {
    return a == Align::kStart ? 0 : a == Align::kCentre ? middle : 1;
  };
  const double along = length * share(style.across, 0.5),
               down = style.size * share(style.down, kCapitalMiddle);
  if (!style.vertical) {
    data::draw_text(image_, int(std::lrint(at.x - along)), int(std::lrint(at.y - down)), words, style.size,
                    style.colour, style.weight);
    return;
  }
  data::Image line(length, style.size);
  data::draw_text(line, 0, 0, words, style.size, kWhite, style.weight);
  const int left = int(std::lrint(at.x - down)), bottom = int(std::lrint(at.y + along));
  for (int v = 0; v < line.height; ++v)
    for (int u = 0; u < line.width; ++u) {
      const int x = left + v, y = bottom - u;
      if (x < 0 || y < 0 || x >= width() || y >= height()) continue;
      mix(x, y, style.colour, line.row(v)[u * 3] / 255.0);
    }
}

void Canvas::paste(const data::Image& picture, int left, int top) {
  for (int y = std::max(0, -top); y < picture.height && top + y < height(); ++y)
    for (int x = std::max(0, -left); x < picture.width && left + x < width(); ++x)
      std::copy_n(picture.row(y) + x * 3, 3, image_.row(top + y) + (left + x) * 3);
}

int width_of(std::string_view text, int size, FontWeight weight) {
  return data::text_width(text, size, weight);
}

std::string first_characters(const std::string& text, size_t count) {
  size_t end = 0;
  for (; count > 0 && end < text.size(); --count) end = next_character(text, end);
  return text.substr(0, end);
}

std::string fit_text(const std::string& text, int size, double width, FontWeight weight) {
  // No label of a chart is wider than this many characters, however long a name in a file is.
  constexpr size_t kMost = 300;
  std::string cut = first_characters(text, kMost);
  if (cut.size() == text.size() && width_of(text, size, weight) <= width) return text;
  const std::string dots = weight == FontWeight::kRegular ? "\xe2\x80\xa6" : "...";
  while (!cut.empty() && width_of(cut + dots, size, weight) > width) {
    size_t end = cut.size() - 1;
    while (end > 0 && (cut[end] & 0xc0) == 0x80) --end;
    cut.resize(end);
  }
  return cut + dots;
}

}  // namespace mtyolo::train

#include "data/draw.h"

#include <algorithm>
#include <cmath>

namespace mtyolo::data {
namespace {

// A filled rectangle of pixels x1 <= x < x2, y1 <= y < y2, cut at the picture's edges.
void fill(Image& image, int x1, int y1, int x2, int y2, Rgb colour) {
  x1 = std::clamp(x1, 0, image.width), x2 = std::clamp(x2, 0, image.width);
  y1 = std::clamp(y1, 0, image.height), y2 = std::clamp(y2, 0, image.height);
  for (int y = y1; y < y2; ++y) {
    uint8_t* pixel = image.row(y) + x1 * 3;
    for (int x = x1; x < x2; ++x, pixel += 3) pixel[0] = colour.r, pixel[1] = colour.g, pixel[2] = colour.b;
  }
}

Rgb from_hsv(double hue, double saturation, double value) {
  const auto channel = [&](double offset) {
    const double k = std::fmod(offset + hue * 6, 6.0);
    const double v = value - value * saturation * std::max(0.0, std::min({k, 4 - k, 1.0}));
    return uint8_t(std::lrint(v * 255));
  };
  return {channel(5), channel(3), channel(1)};
}

Rgb readable_on(Rgb ground) {
  const double luma = 0.299 * ground.r + 0.587 * ground.g + 0.114 * ground.b;
  return luma > 140 ? Rgb{0, 0, 0} : Rgb{255, 255, 255};
}

int automatic_line_width(const Image& image) {
  return std::max(2, int(std::lrint((image.width + image.height) * 0.0016)));
}

// Corners as whole pixels, the far ones outside the box.
struct PixelBox {
  int x1, y1, x2, y2;
};

int to_pixel(double at, int size) { return int(std::lrint(std::clamp(at, -1.0, size + 1.0))); }

PixelBox to_pixels(const LabelledBox& b, const Image& image) {
  return {to_pixel(b.x1, image.width), to_pixel(b.y1, image.height), to_pixel(b.x2, image.width),
          to_pixel(b.y2, image.height)};
}

bool is_finite(const LabelledBox& b) {
  return std::isfinite(b.x1) && std::isfinite(b.y1) && std::isfinite(b.x2) && std::isfinite(b.y2);
}

void draw_frame(Image& image, const PixelBox& b, int width, Rgb colour) {
  fill(image, b.x1, b.y1, b.x2, std::min(b.y1 + width, b.y2), colour);
  fill(image, b.x1, std::max(b.y2 - width, b.y1), b.x2, b.y2, colour);
  fill(image, b.x1, b.y1, std::min(b.x1 + width, b.x2), b.y2, colour);
  fill(image, std::max(b.x2 - width, b.x1), b.y1, b.x2, b.y2, colour);
}

void draw_label(Image& image, const PixelBox& b, const LabelledBox& box, int line_width) {
  const int text_height = 10 + 3 * line_width, margin = std::max(2, line_width);
  const int width = text_width(box.label, text_height) + 2 * margin, height = text_height + 2;
  const int x = std::max(0, std::min(b.x1, image.width - width));
  const int y = b.y1 >= height ? b.y1 - height : std::max(0, std::min(b.y1, image.height - height));
  fill(image, x, y, x + width, y + height, box.colour);
  draw_text(image, x + margin, y + 1, box.label, text_height, readable_on(box.colour));
}

}  // namespace

Rgb class_colour(int index, int head, int heads) {
  MTYOLO_CHECK(index >= 0 && head >= 0 && head < heads, "class_colour: class {} of head {} of {}", index,
               head, heads);
  // Steps of the golden ratio spread any number of hues; three shades part those that come close.
  constexpr double kGolden = 0.6180339887498949, kShades[3][2] = {{0.90, 0.95}, {0.60, 1.00}, {1.00, 0.65}};
  const double within = std::fmod(index * kGolden, 1.0);
  const double family = heads == 1 ? within : (head + 0.8 * within) / heads;
  const auto& shade = kShades[index % 3];
  return from_hsv(family, shade[0], shade[1]);
}

void draw_boxes(Image& image, std::span<const LabelledBox> boxes, int line_width) {
  if (line_width <= 0) line_width = automatic_line_width(image);
  for (size_t i = boxes.size(); i-- > 0;)
    if (is_finite(boxes[i])) draw_frame(image, to_pixels(boxes[i], image), line_width, boxes[i].colour);
  for (size_t i = boxes.size(); i-- > 0;)
    if (is_finite(boxes[i]) && !boxes[i].label.empty())
      draw_label(image, to_pixels(boxes[i], image), boxes[i], line_width);
}

}  // namespace mtyolo::data

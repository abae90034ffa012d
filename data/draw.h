// Boxes and labels on a picture.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "data/image.h"

namespace mtyolo::data {

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Rgb&) const = default;
};

// The colour of class number `index` within head `head` of `heads`: always the same; the classes of one head
// differ from each other, and each head has its own range of hues.
Rgb class_colour(int index, int head = 0, int heads = 1);

struct LabelledBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;  // pixels of the picture
  std::string label;                      // UTF-8; what the fonts do not have shows as '?'. "" = no label
  Rgb colour;
};

// Frames `line_width` pixels wide (0: by the size of the picture), then the labels on filled grounds: above
// the box, or inside it where there is no room above. The first boxes end on top. Boxes that are not finite
// are left out.
void draw_boxes(Image& image, std::span<const LabelledBox> boxes, int line_width = 0);

// Width in pixels of one line of text at `height` pixels, and the line itself, anti-aliased, its upper left
// corner at (x, y). What lies outside the picture is cut.
enum class FontWeight : uint8_t { kBold, kRegular };
int text_width(std::string_view text, int height, FontWeight weight = FontWeight::kBold);
void draw_text(Image& image, int x, int y, std::string_view text, int height, Rgb colour,
               FontWeight weight = FontWeight::kBold);
// Whether the fonts have every character: ASCII, Latin-1 and a few signs.
bool has_glyphs(std::string_view text);

}  // namespace mtyolo::data

#include "data/draw.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/data/pictures.h"

using namespace mtyolo;
using namespace mtyolo::data;

namespace {

Rgb at(const Image& image, int x, int y) {
  const uint8_t* p = image.row(y) + x * 3;
  return {p[0], p[1], p[2]};
}

int distance(Rgb a, Rgb b) {
  return std::max({std::abs(a.r - b.r), std::abs(a.g - b.g), std::abs(a.b - b.b)});
}

// Pixels of this colour in a part of the picture.
int count(const Image& image, Rgb colour, int y1, int y2) {
  int n = 0;
  for (int y = y1; y < y2; ++y)
    for (int x = 0; x < image.width; ++x) n += at(image, x, y) == colour ? 1 : 0;
  return n;
}

constexpr Rgb kRed{200, 0, 0}, kGround{90, 90, 90};

}  // namespace

TEST_CASE("a frame has the given width and leaves its inside alone", "[data][draw]") {
  Image image(60, 40, 90);
  draw_boxes(image, std::vector<LabelledBox>{{10, 5, 50, 35, "", kRed}}, 3);
  CHECK(at(image, 10, 5) == kRed);
  CHECK(at(image, 12, 20) == kRed);
  CHECK(at(image, 13, 20) == kGround);
  CHECK(at(image, 49, 34) == kRed);
  CHECK(at(image, 50, 34) == kGround);
  CHECK(at(image, 9, 20) == kGround);
}

TEST_CASE("the label stands above the box, or inside where there is no room", "[data][draw]") {
  Image above(200, 100, 90), inside(200, 100, 90);
  draw_boxes(above, std::vector<LabelledBox>{{20, 50, 120, 90, "cat 0.9", kRed}}, 2);
  CHECK(at(above, 22, 48) == kRed);
  draw_boxes(inside, std::vector<LabelledBox>{{20, 3, 120, 90, "cat 0.9", kRed}}, 2);
  CHECK(at(inside, 22, 1) == kGround);
  CHECK(at(inside, 22, 8) == kRed);
}

TEST_CASE("letters are drawn in the colour that contrasts", "[data][draw]") {
  Image dark(200, 100, 90), light(200, 100, 90);
  draw_boxes(dark, std::vector<LabelledBox>{{20, 50, 120, 90, "HHH", {0, 0, 120}}}, 2);
  draw_boxes(light, std::vector<LabelledBox>{{20, 50, 120, 90, "HHH", {250, 240, 60}}}, 2);
  CHECK(count(dark, {255, 255, 255}, 30, 50) > 20);
  CHECK(count(light, {0, 0, 0}, 30, 50) > 20);
}

TEST_CASE("text has edges between ink and ground, and a width that grows with it", "[data][draw]") {
  Image image(100, 30, 0);
  draw_text(image, 2, 2, "So", 20, {255, 255, 255});
  int between = 0;
  for (const uint8_t v : image.pixels) between += v > 0 && v < 255 ? 1 : 0;
  CHECK(between > 50);
  CHECK(text_width("", 20) == 0);
  CHECK(text_width("WW", 20) > text_width("W", 20) * 1.9);
  CHECK(text_width("W", 40) > text_width("W", 20) * 1.8);
}

TEST_CASE("letters the fonts do not have show as one question mark each", "[data][draw]") {
  CHECK(text_width("\xe6\x97\xa5\xf0\x9f\x90\x88", 20) == text_width("??", 20));
  CHECK(text_width("\xc3\xa9", 20) == text_width("e", 20));
  CHECK(text_width("\xe6\x97", 20) == text_width("?", 20));
  CHECK(has_glyphs("caf\xc3\xa9?"));
  CHECK(!has_glyphs("\xe6\x97\xa5"));
  CHECK(!has_glyphs("\xff"));
  CHECK(text_width("a\nb", 20) == text_width("a?b", 20));
}

TEST_CASE("boxes outside the picture or not finite do no harm", "[data][draw]") {
  constexpr double kHuge = 1e300, kNan = std::numeric_limits<double>::quiet_NaN();
  Image image(20, 10, 90);
  draw_boxes(image, std::vector<LabelledBox>{
                        {-kHuge, -kHuge, kHuge, kHuge, "a very long label for so small a picture", kRed},
                        {kNan, 0, 5, 5, "nan", kRed},
                        {15, 8, 3, 2, "turned", kRed}});
  CHECK(image.pixels.size() == 20 * 10 * 3);
  Image one(1, 1, 90);
  draw_boxes(one, std::vector<LabelledBox>{{0, 0, 1, 1, "x", kRed}});
  CHECK(one.pixels.size() == 3);
}

TEST_CASE("the first box ends on top", "[data][draw]") {
  Image image(60, 40, 90);
  draw_boxes(image, std::vector<LabelledBox>{{10, 5, 50, 35, "", kRed}, {10, 5, 50, 35, "", {0, 200, 0}}}, 2);
  CHECK(at(image, 10, 20) == kRed);
}

TEST_CASE("the classes of a head differ in colour and heads keep to their hues", "[data][draw]") {
  for (int i = 0; i < 80; ++i)
    for (int j = 0; j < i; ++j) REQUIRE(distance(class_colour(i), class_colour(j)) >= 12);
  CHECK(class_colour(5, 0, 2) == class_colour(5, 0, 2));
  // Two heads: hues 0 to 144 degrees, where blue never leads, and 180 to 324, where it is never the least.
  for (int i = 0; i < 40; ++i) {
    const Rgb a = class_colour(i, 0, 2), b = class_colour(i, 1, 2);
    REQUIRE(a.b < std::max(a.r, a.g));
    REQUIRE(b.b > std::min(b.r, b.g));
  }
}

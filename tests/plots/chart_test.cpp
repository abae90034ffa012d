#include "train/plots/chart.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/plots/metrics_samples.h"

using namespace mtyolo::train;
using mtyolo::test::pixel;

namespace {

const double kNan = std::nan(""), kInfinity = std::numeric_limits<double>::infinity();
constexpr Rgb kRed{200, 0, 0};

}  // namespace

TEST_CASE("plots: ticks are round numbers inside the range", "[plots]") {
  CHECK(nice_ticks({0, 1}, 6).labels == std::vector<std::string>{"0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  CHECK(nice_ticks({0, 1}, 11).at.size() == 11);
  CHECK(nice_ticks({0.013, 0.094}, 5).labels == std::vector<std::string>{"0.02", "0.04", "0.06", "0.08"});
  CHECK(nice_ticks({-3, 3}, 4).at == std::vector<double>{-2, 0, 2});
  CHECK(nice_ticks({0, 23000}, 6).labels == std::vector<std::string>{"0", "5000", "10k", "15k", "20k"});
  CHECK(nice_ticks({1, 0}, 3).at == std::vector<double>{0, 0.5, 1});
}

TEST_CASE("plots: ticks of whole numbers stay whole", "[plots]") {
  CHECK(nice_ticks({0, 2}, 8, true).at == std::vector<double>{0, 1, 2});
  CHECK(nice_ticks({-0.5, 0.5}, 8, true).at == std::vector<double>{0});
  for (const double t : nice_ticks({0, 101}, 7, true).at) CHECK(t == std::round(t));
}

TEST_CASE("plots: ranges without numbers or with one of them can still be drawn", "[plots]") {
  CHECK(range_of(std::vector<double>{}).span() == 1);
  CHECK(range_of(std::vector<double>{kNan, kInfinity}).span() == 1);
  const Range one = range_of(std::vector<double>{5, kNan});
  CHECK(one.low < 5);
  CHECK(one.high > 5);
  CHECK(nice_ticks({kNan, 1}, 5).at.empty());
  CHECK(nice_ticks({0, kInfinity}, 5).at.empty());
  for (const double big : {1e300, 1e-300, 1e15}) CHECK(nice_ticks({0, big}, 6).at.size() <= 8);
  CHECK(nice_ticks({1e15, 1e15 + 1}, 6).at.size() <= 8);
}

TEST_CASE("plots: numbers are written short", "[plots]") {
  CHECK(short_number(0.81234) == "0.812");
  CHECK(short_number(123456) == "123k");
  CHECK(short_number(2381) == "2381");
  CHECK(short_number(4.5e6) == "4.5M");
  CHECK(short_number(kNan) == "-");
  CHECK(grouped(0) == "0");
  CHECK(grouped(-1234567) == "-1,234,567");
  CHECK(grouped(999) == "999");
}

TEST_CASE("plots: a value lies where the axes say", "[plots]") {
  Canvas canvas(600, 400);
  Axes axes(canvas, {0, 0, 600, 400}, "title", {{0, 10}, "x"}, {{0, 100}, "y"});
  CHECK(axes.to_x(0) == Approx(axes.frame().x1));
  CHECK(axes.to_x(5) == Approx((axes.frame().x1 + axes.frame().x2) / 2));
  CHECK(axes.to_y(100) == Approx(axes.frame().y1));
  CHECK(axes.to_y(25) == Approx(axes.frame().y2 - axes.frame().height() / 4));
}

TEST_CASE("plots: a bar is as high as its value", "[plots]") {
  Canvas canvas(600, 400);
  Axes axes(canvas, {0, 0, 600, 400}, "", {{0, 4}, "", false, true}, {{0, 100}, ""});
  axes.bar(1, 2, 50, kRed);
  axes.bar(2, 3, kNan, kRed);
  const double x = axes.to_x(1.5), top = axes.to_y(50);
  CHECK(pixel(canvas.image(), x, top + 2) == kRed);
  CHECK(pixel(canvas.image(), x, axes.frame().y2 - 3) == kRed);
  CHECK(!(pixel(canvas.image(), x, top - 2) == kRed));
  CHECK(!(pixel(canvas.image(), axes.to_x(2.5), axes.frame().y2 - 3) == kRed));
}

TEST_CASE("plots: a line has its width, soft edges, and stops at what is not a number", "[plots]") {
  Canvas canvas(100, 40);
  canvas.polyline(std::vector<Place>{{10, 20}, {40, 20}, {kNan, 0}, {60, 20}, {90, 20}}, {4, kRed, 1, 0});
  CHECK(pixel(canvas.image(), 25, 19) == kRed);
  CHECK(pixel(canvas.image(), 25, 20) == kRed);
  CHECK(pixel(canvas.image(), 25, 16) == kWhite);
  CHECK(pixel(canvas.image(), 50, 20) == kWhite);
  CHECK(pixel(canvas.image(), 75, 20) == kRed);
  canvas.polyline(std::vector<Place>{{10, 5}, {90, 35}}, {3, kRed, 1, 0});
  int between = 0;
  for (int x = 0; x < 100; ++x) {
    const Rgb p = pixel(canvas.image(), x, 30);
    between += p.g > 0 && p.g < 255 ? 1 : 0;
  }
  CHECK(between > 0);
}

TEST_CASE("plots: lines far outside do no harm", "[plots]") {
  Canvas canvas(50, 50);
  canvas.polyline(std::vector<Place>{{-1e300, -1e300}, {1e300, 1e300}}, {3, kRed, 1, 0});
  canvas.polyline(std::vector<Place>{{-50, 25}, {100, 25}}, {2, kRed, 1, 5});
  canvas.disc({1e9, kInfinity}, 5, kRed);
  canvas.fill({-1e300, -1e300, kNan, 10}, kRed);
  canvas.text({-1000, 1000}, "outside", {});
  CHECK(canvas.image().pixels.size() == 7500);
}

TEST_CASE("plots: upright text is level text turned", "[plots]") {
  Canvas level(80, 80), upright(80, 80);
  level.text({10, 40}, "Abc", {24, kInk});
  TextStyle style{24, kInk};
  style.vertical = true;
  upright.text({40, 69}, "Abc", style);
  int64_t a = 0, b = 0;
  for (const uint8_t v : level.image().pixels) a += 255 - v;
  for (const uint8_t v : upright.image().pixels) b += 255 - v;
  CHECK(a > 10000);
  CHECK(double(b) == Approx(double(a)).epsilon(0.02));
  CHECK(pixel(level.image(), 12, 20) == kWhite);
}

TEST_CASE("plots: text is cut between characters to fit", "[plots]") {
  CHECK(fit_text("short", 20, 500) == "short");
  const std::string cut = fit_text("a name that is much too long for its place", 20, 120);
  CHECK(cut.ends_with("\xe2\x80\xa6"));
  CHECK(width_of(cut, 20) <= 120);
  const std::string accents =
      fit_text("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 20, 60);
  CHECK((accents.size() - 3) % 2 == 0);
  CHECK(first_characters("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 2) == "\xe6\x97\xa5\xe6\x9c\xac");
  CHECK(first_characters("ab", 40) == "ab");
  CHECK(fit_text(std::string(1 << 20, 'x'), 20, 100).size() < 100);
}

TEST_CASE("plots: points are counted in their cells", "[plots]") {
  const std::vector<double> xs{0, 0.49, 0.51, 1, 1.01, kNan}, ys{0, 0.2, 0.9, 1, 0.5, 0.5};
  CHECK(count2d(xs, ys, {0, 1}, {0, 1}, 2, 2) == std::vector<double>{2, 0, 0, 2});
  CHECK(count2d(xs, ys, {0, 1}, {1, 0}, 2, 2) == std::vector<double>{0, 2, 2, 0});
}

TEST_CASE("plots: the heat map grows darker", "[plots]") {
  CHECK(heat_colour(0) == kWhite);
  CHECK(heat_colour(kNan) == kWhite);
  for (int i = 1; i <= 10; ++i) CHECK(heat_colour(i / 10.0).g < heat_colour((i - 1) / 10.0).g);
  CHECK(readable_on(heat_colour(1)) == kWhite);
  CHECK(readable_on(heat_colour(0.1)) == kInk);
}

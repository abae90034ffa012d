#include <catch2/catch.hpp>
#include <cmath>

#include "tests/data/pictures.h"

using namespace mtyolo;
using namespace mtyolo::data;

namespace {

struct Geometry {
  int width, height;          // of the picture
  int left, top;              // first pixel of it in the result
  int out_width, out_height;  // of the result
};

}  // namespace

TEST_CASE("letterbox at 640 gives the published geometry", "[data][letterbox]") {
  // data.md section 4; an odd spare pixel goes right or below.
  const Geometry g = GENERATE(Geometry{640, 480, 0, 0, 640, 480}, Geometry{640, 427, 0, 10, 640, 448},
                              Geometry{500, 333, 0, 11, 640, 448}, Geometry{1280, 720, 0, 12, 640, 384},
                              Geometry{375, 500, 0, 0, 480, 640});
  Letterbox done;
  const Image out = letterbox(Image(g.width, g.height, 7), {}, done);
  CAPTURE(g.width, g.height);
  CHECK(out.width == g.out_width);
  CHECK(out.height == g.out_height);
  CHECK(done.left == g.left);
  CHECK(done.top == g.top);
  CHECK(done.width == out.width);
  CHECK(done.source_height == g.height);
  if (g.top > 0) CHECK(int(out.row(g.top - 1)[0]) == 114);
  CHECK(int(out.row(g.top)[0]) == 7);
  const int last = g.top + int(std::lrint(g.height * done.scale));  // the row after the picture
  CHECK(int(out.row(last - 1)[0]) == 7);
  if (last < out.height) CHECK(int(out.row(last)[0]) == 114);
}

TEST_CASE("without automatic padding the whole target is filled", "[data][letterbox]") {
  Letterbox done;
  const Image out = letterbox(Image(100, 41, 7), {.width = 64, .height = 64, .auto_pad = false}, done);
  CHECK(out.width == 64);
  CHECK(out.height == 64);
  CHECK(done.pad_y == 19);  // 41 * 0.64 = 26.24 gives 26 rows
  CHECK(done.scale == 0.64);
}

TEST_CASE("letterbox does not enlarge unless it may", "[data][letterbox]") {
  Letterbox done;
  const Image out =
      letterbox(Image(20, 10, 7), {.width = 64, .height = 64, .auto_pad = false, .scale_up = false}, done);
  CHECK(done.scale == 1);
  CHECK(done.left == 22);
  CHECK(done.top == 27);
  CHECK(out.width == 64);
}

TEST_CASE("an extreme shape keeps at least one row", "[data][letterbox]") {
  Letterbox done;
  const Image wide = letterbox(Image(2000, 1, 7), {}, done);
  CHECK(wide.width == 640);
  CHECK(wide.height == 32);
  const Image scaled = load_scaled(Image(1, 5000, 7), 640, false);
  CHECK(scaled.width == 1);
  CHECK(scaled.height == 640);
}

TEST_CASE("boxes come back from the network to where they were", "[data][letterbox]") {
  const auto [w, h] = GENERATE(table<int, int>({{640, 480}, {640, 427}, {500, 333}, {1280, 720}, {33, 900}}));
  Letterbox done;
  letterbox(Image(w, h), {}, done);
  const double x = w * 0.25, y = h * 0.5;
  const auto back = map_to_source(done, {x * done.scale + done.left, y * done.scale + done.top, 1e9, 1e9});
  CAPTURE(w, h);
  CHECK(std::abs(back[0] - x) <= 0.6 / done.scale);  // half a pixel: the reference's pads are not rounded
  CHECK(std::abs(back[1] - y) <= 0.6 / done.scale);
  CHECK(back[2] == w);  // clipped
  CHECK(back[3] == h);
}

TEST_CASE("mapping back uses un-rounded pads as the reference does", "[data][letterbox]") {
  Letterbox done;
  letterbox(Image(640, 427), {}, done);  // 21 spare rows: 10 above, 11 below
  CHECK(map_to_source(done, {0, 10.5, 640, 10.5 + 427})[1] == 0);
  CHECK(map_to_source(done, {0, 100, 640, 200})[3] == Approx(189.5));
}

TEST_CASE("the longer side is set exactly where truncation would lose a pixel", "[data][letterbox]") {
  const int longer = GENERATE(77, 154, 303, 308, 319, 581, 606, 1077);  // data.md 2.1
  const Image out = load_scaled(Image(longer, 40), 640, true);
  CHECK(out.width == 640);
  CHECK(out.height == int(40 * (640.0 / longer)));
}

TEST_CASE("a tensor holds planes of value / 255 in its own slot", "[data][letterbox]") {
  const Image image = test::pattern_image(37, 5);
  Tensor batch = Tensor::full({2, 3, 5, 37}, -1);
  image_to_tensor(image, batch, 1);
  CHECK(batch.at({0, 2, 4, 36}) == -1);
  for (int c = 0; c < 3; ++c)
    for (int x = 0; x < 37; ++x)
      REQUIRE(float(batch.at({1, c, 3, x})) == float(image.row(3)[x * 3 + c]) / 255.0f);
  Tensor wrong = Tensor::zeros({1, 3, 37, 5});
  CHECK_THROWS_WITH(image_to_tensor(image, wrong), Catch::Contains("expected a slot for 3 x 5 x 37"));
}

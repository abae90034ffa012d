#include "data/resize.h"

#include <catch2/catch.hpp>

#include "tests/data/pictures.h"

using namespace mtyolo;
using namespace mtyolo::data;

namespace {

// A fixed noise picture: every value occurs, neighbours are unrelated.
Image noise_image(int width, int height) {
  Image image(width, height);
  uint32_t state = 12345;
  for (uint8_t& value : image.pixels) {
    state = state * 1664525u + 1013904223u;
    value = uint8_t(state >> 24);
  }
  return image;
}

}  // namespace

TEST_CASE("the fast linear resize equals the plain formula on every shape", "[data][resize]") {
  const auto [w, h] =
      GENERATE(table<int, int>({{1, 1}, {2, 3}, {3, 1}, {17, 5}, {64, 40}, {101, 67}, {256, 128}}));
  const auto [to_w, to_h] =
      GENERATE(table<int, int>({{1, 1}, {2, 2}, {5, 17}, {32, 20}, {33, 64}, {128, 64}, {201, 134}}));
  const Image from = noise_image(w, h);
  Image plain(to_w, to_h);
  resize_linear_reference(from, {plain.pixels.data(), to_w, to_h, size_t(to_w) * 3});
  CAPTURE(w, h, to_w, to_h);
  CHECK(resize_linear(from, to_w, to_h).pixels == plain.pixels);
}

TEST_CASE("a resize into a window leaves the bytes around it alone", "[data][resize]") {
  const Image from = noise_image(50, 30);
  const int width = GENERATE(25, 24, 7);
  const int height = width == 25 ? 15 : 11;
  Image canvas(width + 4, height + 2, 200);
  resize_linear_into(from, {canvas.row(1) + 2 * 3, width, height, size_t(canvas.width) * 3});
  const Image alone = resize_linear(from, width, height);
  for (int y = 0; y < canvas.height; ++y)
    for (int x = 0; x < canvas.width; ++x) {
      const bool inside = x >= 2 && x < 2 + width && y >= 1 && y < 1 + height;
      const uint8_t expected = inside ? alone.row(y - 1)[(x - 2) * 3] : 200;
      REQUIRE(int(canvas.row(y)[x * 3]) == int(expected));
    }
}

TEST_CASE("halving takes the rounded mean of four pixels", "[data][resize]") {
  Image image(4, 2);
  for (int x = 0; x < 4; ++x)
    for (int y = 0; y < 2; ++y) image.row(y)[x * 3] = uint8_t(10 * x + y);
  const Image half = resize_linear(image, 2, 1);
  CHECK(int(half.pixels[0]) == 6);   // (0 + 10 + 1 + 11 + 2) / 4
  CHECK(int(half.pixels[3]) == 26);  // (20 + 30 + 21 + 31 + 2) / 4
  CHECK(resize_area(image, 2, 1).pixels == half.pixels);
}

TEST_CASE("an equal picture stays equal at every size", "[data][resize]") {
  const int value = GENERATE(0, 1, 113, 254, 255);
  const Image flat(31, 17, uint8_t(value));
  for (const auto& [w, h] : {std::pair{7, 5}, {30, 16}, {31, 16}})
    for (const uint8_t v : resize_area(flat, w, h).pixels) REQUIRE(int(v) == value);
  for (const auto& [w, h] : {std::pair{7, 5}, {62, 34}, {90, 3}})
    for (const uint8_t v : resize_linear(flat, w, h).pixels)
      REQUIRE(std::abs(int(v) - value) <= (value == 0 ? 0 : 1));
}

TEST_CASE("area averaging with whole factors is the rounded mean of its block", "[data][resize]") {
  Image image(6, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = uint8_t(i);
  const Image small = resize_area(image, 2, 1);
  CHECK(int(small.pixels[0]) == 21);  // mean of 0 3 6 18 21 24 36 39 42
  CHECK(int(small.pixels[3]) == 30);
}

TEST_CASE("resizing to nothing or area-enlarging is refused", "[data][resize]") {
  const Image image(4, 4);
  CHECK_THROWS_WITH(resize_linear(image, 0, 4), Catch::Contains("sides must be at least 1"));
  CHECK_THROWS_WITH(resize_area(image, 5, 4), Catch::Contains("not grow"));
}

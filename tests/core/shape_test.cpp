#include "core/shape.h"

#include <catch2/catch.hpp>

#include "tests/support/throws.h"

using namespace mtyolo;

TEST_CASE("shape: a scalar has one element and an empty side makes none", "[core][shape]") {
  CHECK(Shape().numel() == 1);
  CHECK(Shape({3, 0, 5}).numel() == 0);
  CHECK(Shape({3, 4, 5}).numel() == 60);
}

TEST_CASE("shape: a product beyond 64 bits is an error and not a small number", "[core][shape]") {
  const int64_t big = int64_t(1) << 32;
  CHECK(test::error_text([&] {
          (void)Shape({big, big}).numel();
        }) == "shape [4294967296,4294967296] has more elements than 64 bits count");
  CHECK(Shape({big, big, 0}).numel() == 0);
}

TEST_CASE("shape: contiguous strides run from the last dimension, channels-last ones from C",
          "[core][shape]") {
  CHECK(contiguous_strides({2, 3, 4, 5}) == Strides({60, 20, 5, 1}));
  CHECK(channels_last_strides({2, 3, 4, 5}) == Strides({60, 1, 15, 3}));
  CHECK(test::error_text([] {
          channels_last_strides({3, 4});
        }) == "channels_last_strides: shape [3,4] is not NCHW");
}

TEST_CASE("shape: more than 16 dimensions are refused", "[core][shape]") {
  Shape s;
  for (int i = 0; i < kMaxRank; ++i) s.push_back(1);
  CHECK(s.numel() == 1);
  CHECK(test::error_text([&] { s.push_back(1); }) == "shape: more than 16 dimensions");
  const std::vector<int64_t> many(17, 1);
  CHECK(test::error_text([&] { Shape t{std::span<const int64_t>(many)}; }) ==
        "shape: 17 dimensions, the limit is 16");
}

TEST_CASE("shape: shapes of different length differ", "[core][shape]") {
  CHECK(Shape({2, 3}) == Shape({2, 3}));
  CHECK_FALSE(Shape({2, 3}) == Shape({2, 3, 1}));
  CHECK_FALSE(Shape({2, 3}) == Shape({3, 2}));
  CHECK(to_string(Shape({8, 48, 80, 80})) == "[8,48,80,80]");
}

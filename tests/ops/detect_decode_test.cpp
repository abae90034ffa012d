#include "ops/detect_decode.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using ops::DetectDecode;

TEST_CASE("detect_decode: zero logits give the cell centre, the anchor and a half", "[ops][detect_decode]") {
  OpSetup s;
  const DetectDecode p{.stride = 8, .anchors = {12, 16, 19, 36}};
  Tensor y = Tensor::empty({1, 12, 6});
  ops::detect_decode_forward(s.ctx, Tensor::zeros({1, 12, 2, 3}), p, y);
  // Row 11 is the second anchor, grid row 1, grid column 2.
  const Tensor last = y.slice(1, 11, 12).reshape({6});
  CHECK(bit_equal(last, Tensor::from<float>({20, 12, 19, 36, 0.5, 0.5}, {6})));
  CHECK(y.at({0, 0, 2}) == 12);
}

TEST_CASE("detect_decode: the ranges are open by half a cell and four anchors", "[ops][detect_decode]") {
  OpSetup s;
  const DetectDecode p{.stride = 16, .anchors = {10, 20}};
  Tensor high = Tensor::empty({1, 1, 5}), low = Tensor::empty({1, 1, 5});
  ops::detect_decode_forward(s.ctx, Tensor::full({1, 5, 1, 1}, 200), p, high);
  ops::detect_decode_forward(s.ctx, Tensor::full({1, 5, 1, 1}, -200), p, low);
  CHECK(bit_equal(high, Tensor::from<float>({24, 24, 40, 80, 1}, {1, 1, 5})));
  CHECK(max_difference(low, Tensor::from<float>({-8, -8, 0, 0, 0}, {1, 1, 5})) == 0);
}

TEST_CASE("detect_decode: equal logits give equal bits at every position and in every layout",
          "[ops][detect_decode]") {
  OpSetup s;
  const DetectDecode p{.stride = 32, .anchors = {1, 1, 1, 1, 1, 1}};
  Tensor y = Tensor::empty({2, 3 * 7 * 5, 7});
  ops::detect_decode_forward(s.ctx, Tensor::full({2, 21, 7, 5}, 0.3), p, y);
  for (int64_t column = 2; column < 7; ++column)
    for (int64_t row = 0; row < y.size(1); ++row) REQUIRE(y.at({1, row, column}) == y.at({0, 0, column}));
  const Tensor raw = random_tensor({2, 21, 7, 5}, 3);
  ops::detect_decode_forward(s.ctx, raw, p, y);
  for (const Tensor& image : layouts(raw)) {
    Tensor other = with_gaps(Tensor::zeros(y.shape()));
    ops::detect_decode_forward(s.ctx, image, p, other);
    CHECK(bit_equal(other, y));
  }
}

TEST_CASE("detect_decode: channels that do not split into anchors are refused", "[ops][detect_decode]") {
  const DetectDecode p{.stride = 8, .anchors = {1, 1, 1, 1, 1, 1}};
  CHECK(error_text([&] {
          ops::detect_decode_shape({1, 256, 4, 4}, p);
        }) ==
        "detect_decode: input [1,256,4,4] has 256 channels, expected 3 anchors times at least 5 columns");
  CHECK(error_text([] {
          ops::detect_decode_shape({1, 255, 4, 4}, {8, {1, 2, 3}});
        }) == "detect_decode: 3 anchor numbers, expected pairs of width and height");
}

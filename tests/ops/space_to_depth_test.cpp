#include "ops/space_to_depth.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("space_to_depth: blocks run down the column first", "[ops][space_to_depth]") {
  OpSetup s;
  // Pixels ab / cd of two channels become the channels a, c, b, d, each with both input channels.
  const Tensor x = Tensor::from<float>({1, 2, 3, 4, 10, 20, 30, 40}, {1, 2, 2, 2});
  Tensor y = Tensor::empty({1, 8, 1, 1});
  ops::space_to_depth_forward(s.ctx, x, y);
  CHECK(bit_equal(y, Tensor::from<float>({1, 10, 3, 30, 2, 20, 4, 40}, {1, 8, 1, 1})));
}

TEST_CASE("space_to_depth: every layout gives the same bits", "[ops][space_to_depth]") {
  OpSetup s;
  const Tensor x = random_tensor({2, 3, 4, 6}, 1);
  Tensor want = Tensor::empty({2, 12, 2, 3});
  ops::space_to_depth_forward(s.ctx, x, want);
  for (const Tensor& image : layouts(x))
    for (Tensor y : layouts(Tensor::zeros(want.shape()))) {
      ops::space_to_depth_forward(s.ctx, image, y);
      CHECK(bit_equal(y, want));
    }
}

TEST_CASE("space_to_depth: an odd side is refused", "[ops][space_to_depth]") {
  CHECK(error_text([] {
          ops::space_to_depth_shape({1, 3, 641, 640});
        }) == "space_to_depth: input [1,3,641,640] is 641x640, expected even height and width");
}

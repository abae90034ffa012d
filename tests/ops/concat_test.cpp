#include "ops/concat.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("concat: channels follow in the order given, image by image", "[ops][concat]") {
  OpSetup s;
  const std::vector<Tensor> inputs{random_tensor({2, 3, 4, 5}, 1), random_tensor({2, 1, 4, 5}, 2),
                                   random_tensor({2, 2, 4, 5}, 3)};
  Tensor y = Tensor::empty({2, 6, 4, 5});
  ops::concat_forward(s.ctx, inputs, y);
  CHECK(bit_equal(y.slice(1, 0, 3), inputs[0]));
  CHECK(bit_equal(y.slice(1, 3, 4), inputs[1]));
  CHECK(bit_equal(y.slice(1, 4, 6), inputs[2]));
  const std::vector<Tensor> odd{inputs[0].channels_last(), with_gaps(inputs[1]), inputs[2]};
  for (Tensor out : layouts(Tensor::zeros(y.shape()))) {
    ops::concat_forward(s.ctx, odd, out);
    CHECK(bit_equal(out, y));
  }
}

TEST_CASE("concat: one input is copied", "[ops][concat]") {
  OpSetup s;
  const std::vector<Tensor> one{random_tensor({1, 2, 1, 3}, 1)};
  Tensor y = Tensor::empty({1, 2, 1, 3});
  ops::concat_forward(s.ctx, one, y);
  CHECK(bit_equal(y, one[0]));
}

TEST_CASE("concat: an input of another size is refused by number", "[ops][concat]") {
  const std::vector<Shape> shapes{{1, 3, 20, 20}, {1, 5, 20, 20}, {1, 3, 10, 20}};
  CHECK(error_text([&] { ops::concat_shape(shapes); }) ==
        "concat: input 2 has shape [1,3,10,20], expected [1,*,20,20] like input 0");
  CHECK(error_text([] { ops::concat_shape({}); }) == "concat: no input, expected at least one");
}

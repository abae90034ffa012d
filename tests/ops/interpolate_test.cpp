#include "ops/interpolate.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("interpolate: the same size copies and a constant stays constant", "[ops][interpolate]") {
  OpSetup s;
  const Tensor x = random_tensor({2, 3, 7, 5}, 1);
  Tensor same = Tensor::empty(x.shape()), constant = Tensor::empty({1, 1, 13, 4});
  ops::interpolate_bilinear_forward(s.ctx, x, same);
  CHECK(bit_equal(same, x));
  ops::interpolate_bilinear_forward(s.ctx, Tensor::full({1, 1, 5, 9}, 0.447), constant);
  CHECK(max_difference(constant, Tensor::full({1, 1, 13, 4}, 0.447)) < 1e-7);
}

TEST_CASE("interpolate: pixel centres are aligned and the border is repeated", "[ops][interpolate]") {
  OpSetup s;
  Tensor wide = Tensor::empty({1, 1, 1, 4}), narrow = Tensor::empty({1, 1, 1, 2});
  ops::interpolate_bilinear_forward(s.ctx, Tensor::from<float>({0, 4}, {1, 1, 1, 2}), wide);
  CHECK(bit_equal(wide, Tensor::from<float>({0, 1, 3, 4}, {1, 1, 1, 4})));
  // Without antialiasing, halving takes the two pixels around each new centre.
  ops::interpolate_bilinear_forward(s.ctx, Tensor::from<float>({1, 3, 10, 20}, {1, 1, 1, 4}), narrow);
  CHECK(bit_equal(narrow, Tensor::from<float>({2, 15}, {1, 1, 1, 2})));
}

TEST_CASE("interpolate: every layout gives the same bits", "[ops][interpolate]") {
  OpSetup s;
  const Tensor x = random_tensor({2, 3, 7, 5}, 1);
  Tensor want = Tensor::empty({2, 3, 5, 9});
  ops::interpolate_bilinear_forward(s.ctx, x, want);
  for (const Tensor& image : layouts(x))
    for (Tensor y : layouts(Tensor::zeros(want.shape()))) {
      ops::interpolate_bilinear_forward(s.ctx, image, y);
      CHECK(bit_equal(y, want));
    }
}

TEST_CASE("interpolate: empty sides and other channel counts are refused", "[ops][interpolate]") {
  OpSetup s;
  const Tensor x = Tensor::zeros({1, 3, 4, 4});
  Tensor empty = Tensor::empty({1, 3, 0, 4}), other = Tensor::empty({1, 4, 2, 2});
  CHECK(error_text([&] { ops::interpolate_bilinear_forward(s.ctx, x, empty); }) ==
        "interpolate_bilinear: input [1,3,4,4] float32 cpu to output [1,3,0,4] float32 cpu, expected sides "
        "of at least 1");
  CHECK(error_text([&] {
          ops::interpolate_bilinear_forward(s.ctx, x, other);
        }).starts_with("interpolate_bilinear: output is [1,4,2,2] float32 cpu, expected [1,3,2,2] float32"));
}

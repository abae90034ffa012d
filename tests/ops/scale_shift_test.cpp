#include "ops/scale_shift.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("scale_shift: each channel gets its own number, added or multiplied", "[ops][scale_shift]") {
  OpSetup s;
  const Tensor x = Tensor::from<float>({1, 2, 3, 4}, {1, 2, 1, 2});
  const Tensor implicit = Tensor::from<float>({10, -2}, {1, 2, 1, 1});
  Tensor y = Tensor::empty(x.shape());
  ops::scale_shift_forward(s.ctx, x, implicit, {ops::ImplicitKind::kAdd}, y);
  CHECK(bit_equal(y, Tensor::from<float>({11, 12, 1, 2}, {1, 2, 1, 2})));
  ops::scale_shift_forward(s.ctx, x, implicit, {ops::ImplicitKind::kMul}, y);
  CHECK(bit_equal(y, Tensor::from<float>({10, 20, -6, -8}, {1, 2, 1, 2})));
}

TEST_CASE("scale_shift: every layout gives the same bits", "[ops][scale_shift]") {
  OpSetup s;
  const Tensor x = random_tensor({2, 3, 4, 5}, 1), implicit = random_tensor({1, 3, 1, 1}, 2);
  Tensor want = Tensor::empty(x.shape());
  ops::scale_shift_forward(s.ctx, x, implicit, {ops::ImplicitKind::kMul}, want);
  for (Tensor image : layouts(x)) {
    ops::scale_shift_forward(s.ctx, image, with_gaps(implicit), {ops::ImplicitKind::kMul}, image);
    CHECK(bit_equal(image, want));
  }
}

TEST_CASE("scale_shift: the implicit tensor must have one number per channel", "[ops][scale_shift]") {
  OpSetup s;
  const Tensor x = Tensor::zeros({1, 255, 2, 2});
  Tensor y = Tensor::empty(x.shape());
  CHECK(error_text([&] {
          ops::scale_shift_forward(s.ctx, x, Tensor::zeros({1, 256, 1, 1}), {}, y);
        }) ==
        "scale_shift: implicit has shape [1,256,1,1], expected [1,255,1,1] for the input [1,255,2,2] float32 "
        "cpu");
}

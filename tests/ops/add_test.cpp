#include "ops/add.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("add: the sum is the same in every layout and may overwrite an operand", "[ops][add]") {
  OpSetup s;
  const Tensor a = random_tensor({2, 3, 5, 1}, 1), b = random_tensor({2, 3, 5, 1}, 2);
  Tensor want = Tensor::empty(a.shape());
  ops::add_forward(s.ctx, a, b, want);
  CHECK(want.at({1, 2, 4, 0}) == double(float(a.at({1, 2, 4, 0})) + float(b.at({1, 2, 4, 0}))));
  for (Tensor p : layouts(a))
    for (const Tensor& q : layouts(b)) {
      Tensor in_place = p.clone();
      ops::add_forward(s.ctx, in_place, q, in_place);
      CHECK(bit_equal(in_place, want));
      Tensor y = with_gaps(p);
      ops::add_forward(s.ctx, p, q, y);
      CHECK(bit_equal(y, want));
    }
}

TEST_CASE("add: shapes are not broadcast", "[ops][add]") {
  OpSetup s;
  Tensor y = Tensor::empty({2, 3});
  CHECK(error_text([&] {
          ops::add_forward(s.ctx, Tensor::zeros({2, 3}), Tensor::zeros({1, 3}), y);
        }) == "add: the operands have shapes [2,3] and [1,3], expected equal shapes");
}

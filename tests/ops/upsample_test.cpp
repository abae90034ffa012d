#include "ops/upsample.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("upsample: each pixel becomes a square of its value", "[ops][upsample]") {
  OpSetup s;
  Tensor y = Tensor::empty({1, 1, 3, 6});
  ops::upsample_forward(s.ctx, s.impls, Tensor::from<float>({1, 2}, {1, 1, 1, 2}), {.scale = 3}, y);
  const std::vector<float> row{1, 1, 1, 2, 2, 2};
  for (int64_t i = 0; i < 3; ++i) CHECK(bit_equal(y.slice(2, i, i + 1).reshape({6}), Tensor::from(row, {6})));
}

TEST_CASE("upsample: every implementation and layout selects the same values", "[ops][upsample]") {
  OpSetup s;
  const Tensor x = random_tensor({2, 3, 5, 1}, 1);
  Tensor want = Tensor::empty({2, 3, 10, 2});
  ops::upsample_forward(s.ctx, s.impls, x, {}, want);
  for (const Tensor& image : layouts(x))
    for (const auto& impl : s.impls.all<ops::UpsampleForward>()) {
      if (impl.refuses({image}) != nullptr) continue;
      for (Tensor y : layouts(Tensor::zeros(want.shape()))) {
        impl.run(s.ctx, image, {}, y);
        CHECK(bit_equal(y, want));
      }
    }
}

TEST_CASE("upsample: a scale below one and a result beyond any image are refused", "[ops][upsample]") {
  CHECK(error_text([] {
          ops::upsample_shape({1, 3, 4, 4}, {.scale = 0});
        }) == "upsample: scale 0, expected at least 1");
  CHECK(error_text([] {
          ops::upsample_shape({1, 3, int64_t(1) << 40, 4}, {.scale = 2});
        }) == "upsample: input [1,3,1099511627776,4] times 2 is too large");
}

#include "ops/batch_norm.h"

#include <catch2/catch.hpp>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

ops::BatchNormStats stats_of(int64_t channels, DType type = DType::kF32) {
  Tensor var = random_tensor({channels}, 13);
  for (int64_t c = 0; c < channels; ++c) var.data<float>()[c] *= var.data<float>()[c];
  return {random_tensor({channels}, 10, type), random_tensor({channels}, 11, type),
          random_tensor({channels}, 12, type), var.to(type)};
}

}  // namespace

TEST_CASE("batch_norm: one channel by hand", "[ops][batch_norm]") {
  OpSetup s;
  const auto one = [](float v) { return Tensor::from<float>({v}, {1}); };
  Tensor y = Tensor::empty({1, 1, 1, 2});
  // var + eps = 4: (3 - 1) / 2 * 5 + 7 and (0 - 1) / 2 * 5 + 7
  ops::batch_norm_forward(s.ctx, s.impls, Tensor::from<float>({3, 0}, {1, 1, 1, 2}),
                          {one(5), one(7), one(1), one(3.5)}, {.eps = 0.5}, y);
  CHECK(bit_equal(y, Tensor::from<float>({12, 4.5}, {1, 1, 1, 2})));
}

TEST_CASE("batch_norm: every layout gives the same bits, f64 the same values", "[ops][batch_norm]") {
  OpSetup s;
  const Tensor x = random_tensor({2, 5, 3, 7}, 1);
  Tensor want = Tensor::empty(x.shape()), wide = Tensor::empty(x.shape(), DType::kF64);
  ops::batch_norm_forward(s.ctx, s.impls, x, stats_of(5), {}, want);
  ops::batch_norm_forward(s.ctx, s.impls, x.to(DType::kF64), stats_of(5, DType::kF64), {}, wide);
  CHECK(bit_equal(wide.to(DType::kF32), want));
  for (const Tensor& image : layouts(x))
    for (Tensor y : layouts(Tensor::zeros(x.shape()))) {
      ops::batch_norm_forward(s.ctx, s.impls, image, stats_of(5), {}, y);
      CHECK(bit_equal(y, want));
    }
}

TEST_CASE("batch_norm: a vector of another length is refused by name", "[ops][batch_norm]") {
  OpSetup s;
  const Tensor x = random_tensor({1, 3, 2, 2}, 1);
  Tensor y = Tensor::empty(x.shape());
  ops::BatchNormStats stats = stats_of(3);
  stats.mean = Tensor::zeros({4});
  CHECK(error_text([&] { ops::batch_norm_forward(s.ctx, s.impls, x, stats, {}, y); }) ==
        "batch_norm: mean has shape [4], expected [3] for the input [1,3,2,2] float32 cpu");
  stats.mean = Tensor();
  CHECK(error_text([&] { ops::batch_norm_forward(s.ctx, s.impls, x, stats, {}, y); }) ==
        "batch_norm: mean is undefined tensor, expected the type of the input [1,3,2,2] float32 cpu");
}

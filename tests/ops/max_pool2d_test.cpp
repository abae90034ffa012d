#include "ops/max_pool2d.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using ops::MaxPool2d;

namespace {

Tensor pool(OpSetup& s, const Tensor& x, const MaxPool2d& p) {
  Tensor y = Tensor::empty(ops::max_pool2d_shape(x.shape(), p), x.dtype());
  ops::max_pool2d_forward(s.ctx, s.impls, x, p, y);
  return y;
}

}  // namespace

TEST_CASE("max_pool2d: padding never wins over a negative input", "[ops][max_pool2d]") {
  OpSetup s;
  const Tensor y = pool(s, Tensor::full({1, 1, 2, 2}, -3), {.k = 3, .stride = 1, .pad = 1});
  CHECK(bit_equal(y, Tensor::full({1, 1, 2, 2}, -3)));
  const Tensor low = pool(s, Tensor::full({1, 1, 2, 2}, -INFINITY), {.k = 3, .stride = 1, .pad = 1});
  CHECK(low.at({0, 0, 1, 1}) == -INFINITY);
}

TEST_CASE("max_pool2d: an odd last row and column are dropped", "[ops][max_pool2d]") {
  OpSetup s;
  const Tensor x = Tensor::from<float>({1, 5, 9, 2, 3, 9, 9, 9, 9}, {1, 1, 3, 3});
  CHECK(bit_equal(pool(s, x, {.k = 2, .stride = 2}), Tensor::from<float>({5}, {1, 1, 1, 1})));
}

TEST_CASE("max_pool2d: a NaN wins wherever it stands in the window", "[ops][max_pool2d]") {
  OpSetup s;
  for (int64_t at = 0; at < 4; ++at) {
    Tensor x = Tensor::from<float>({1, 2, 3, 4}, {1, 1, 2, 2});
    x.data<float>()[at] = NAN;
    CHECK(std::isnan(pool(s, x, {.k = 2, .stride = 2}).at({0, 0, 0, 0})));
  }
}

TEST_CASE("max_pool2d: every implementation and layout selects the same values", "[ops][max_pool2d]") {
  OpSetup s;
  const MaxPool2d p =
      GENERATE(MaxPool2d{2, 2, 0}, MaxPool2d{5, 1, 2}, MaxPool2d{3, 2, 1}, MaxPool2d{13, 1, 6});
  const Tensor x = random_tensor({2, 3, 7, 11}, 5);
  if (p.k == 13) CHECK(ops::max_pool2d_shape(x.shape(), p) == x.shape());
  const Tensor want = pool(s, x, p);
  for (const Tensor& image : layouts(x))
    for (const auto& impl : s.impls.all<ops::MaxPool2dForward>()) {
      if (impl.refuses({image, p}) != nullptr) continue;
      for (Tensor y : layouts(Tensor::zeros(want.shape()))) {
        impl.run(s.ctx, image, p, y);
        CHECK(bit_equal(y, want));
      }
    }
  CHECK(bit_equal(pool(s, x.to(DType::kF64), p).to(DType::kF32), want));
}

TEST_CASE("max_pool2d: a refusal says what was wrong", "[ops][max_pool2d]") {
  const auto text = [](const Shape& x, const MaxPool2d& p) {
    return error_text([&] { ops::max_pool2d_shape(x, p); });
  };
  CHECK(text({1, 3, 8, 8}, {3, 1, 2}) == "max_pool2d: pad 2 is more than half of k 3");
  CHECK(text({1, 3, 1, 8}, {2, 2, 0}) ==
        "max_pool2d: input [1,3,1,8] is smaller than the window, k 2 stride 2 pad 0");
  CHECK(text({1, 3, 0, 8}, {2, 2, 1}) ==
        "max_pool2d: input [1,3,0,8] is smaller than the window, k 2 stride 2 pad 1");
  CHECK(text({1, 3, 8, 8}, {2, 0, 0}) ==
        "max_pool2d: k 2 stride 0 pad 0, expected k and stride of at least 1");
  CHECK(text({3, 8, 8}, {2, 2, 0}) == "max_pool2d: input has shape [3,8,8], expected 4 dimensions N,C,H,W");
}

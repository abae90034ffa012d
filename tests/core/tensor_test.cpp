#include "core/tensor.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "tests/support/throws.h"

using namespace mtyolo;
using test::error_text;

namespace {

Tensor counting(const Shape& shape) {
  std::vector<float> values(size_t(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0f);
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("tensor: a slice shares the elements, a clone does not", "[core][tensor]") {
  Tensor t = counting({4, 3});
  Tensor rows = t.slice(0, 1, 3);
  CHECK(rows.shape() == Shape({2, 3}));
  CHECK(rows.at({0, 0}) == 3);
  Tensor copy = rows.clone();
  rows.fill(-1);
  CHECK(t.at({2, 2}) == -1);
  CHECK(t.at({3, 0}) == 9);
  CHECK(copy.at({1, 2}) == 8);
}

TEST_CASE("tensor: permute moves no element and contiguous brings them into order", "[core][tensor]") {
  const Tensor t = counting({2, 3});
  const Tensor p = t.permute({1, 0});
  CHECK_FALSE(p.is_contiguous());
  CHECK(p.at({2, 1}) == t.at({1, 2}));
  CHECK(p.data<float>() == t.data<float>());
  CHECK(bit_equal(p.contiguous(), Tensor::from<float>({0, 3, 1, 4, 2, 5}, {3, 2})));
  CHECK(bit_equal(p.reshape({6}), Tensor::from<float>({0, 3, 1, 4, 2, 5}, {6})));
}

TEST_CASE("tensor: channels-last keeps the values and changes the memory order", "[core][tensor]") {
  const Tensor t = counting({2, 3, 2, 2});
  const Tensor c = t.channels_last();
  CHECK(c.is_channels_last());
  CHECK_FALSE(c.is_contiguous());
  CHECK(bit_equal(t, c));
  CHECK(c.data<float>()[1] == 4);  // channel 1 of the first pixel
}

TEST_CASE("tensor: a side of one does not make a tensor strided", "[core][tensor]") {
  CHECK(counting({4, 3}).slice(0, 2, 3).is_contiguous());
  CHECK_FALSE(counting({4, 3}).slice(1, 2, 3).is_contiguous());
  CHECK(counting({4, 3}).slice(0, 2, 2).is_contiguous());
}

TEST_CASE("tensor: casts truncate to integers and round to half types", "[core][tensor]") {
  const Tensor t = Tensor::from<float>({-1.75f, 2.999f, 300.f}, {3});
  CHECK(bit_equal(t.to(DType::kI32), Tensor::from<int32_t>({-1, 2, 300}, {3})));
  CHECK(t.to(DType::kF16).at({1}) == float(Half(2.999f)));
  CHECK(t.to(DType::kBF16).to(DType::kF64).at({0}) == -1.75);
  CHECK(t.to(DType::kF32).data<float>() == t.data<float>());
  CHECK(Tensor::full({2}, 7, DType::kI64).to(DType::kF16).at({1}) == 7);
}

TEST_CASE("tensor: a strided copy casts element by element", "[core][tensor]") {
  Tensor to = Tensor::zeros({3, 2}, DType::kF64);
  to.permute({1, 0}).copy_from(counting({2, 3}));
  CHECK(bit_equal(to, Tensor::from<double>({0, 3, 1, 4, 2, 5}, {3, 2})));
}

TEST_CASE("tensor: bits are compared, so minus zero differs and NaN equals itself", "[core][tensor]") {
  CHECK_FALSE(bit_equal(Tensor::from<float>({0.0f}, {1}), Tensor::from<float>({-0.0f}, {1})));
  CHECK(bit_equal(Tensor::from<float>({NAN}, {1}), Tensor::from<float>({NAN}, {1})));
  CHECK_FALSE(bit_equal(Tensor::zeros({1}), Tensor::zeros({1}, DType::kI32)));
}

TEST_CASE("tensor: a view that leaves its storage is refused", "[core][tensor]") {
  const auto storage = Storage::allocate(host_allocator(), 10 * sizeof(float));
  CHECK(Tensor::view(storage, 9, {3}, {-4}, DType::kF32).numel() == 3);
  CHECK(error_text([&] { Tensor::view(storage, 8, {3}, {1}, DType::kF32); }) ==
        "tensor view: shape [3] strides [1] offset 8 leaves a storage of 10 elements");
  CHECK_THROWS_AS(Tensor::view(storage, 7, {3}, {-4}, DType::kF32), Error);
  CHECK_THROWS_AS(Tensor::view(storage, -1, {1}, {1}, DType::kF32), Error);
  CHECK_THROWS_AS(Tensor::view(storage, INT64_MAX, {2}, {1}, DType::kF32), Error);
  CHECK_THROWS_AS(Tensor::view(storage, 0, {-1}, {1}, DType::kF32), Error);
}

TEST_CASE("tensor: strides and shapes that overflow 64 bits are refused", "[core][tensor]") {
  const auto storage = Storage::allocate(host_allocator(), 16);
  CHECK(error_text([&] { Tensor::view(storage, 0, {3}, {int64_t(1) << 62}, DType::kF32); }) ==
        "tensor view: shape [3] with strides [4611686018427387904] reaches beyond 64 bits");
  CHECK_THROWS_AS(Tensor::empty({int64_t(1) << 32, int64_t(1) << 32}), Error);
  CHECK_THROWS_AS(Tensor::empty({int64_t(1) << 62}), Error);
  CHECK_THROWS_AS(Tensor::empty({-1, 4}), Error);
}

TEST_CASE("tensor: wrong types, indices and axes are refused with both sides named", "[core][tensor]") {
  Tensor t = counting({2, 3});
  CHECK(error_text([&] { t.data<double>(); }) == "tensor holds float32, asked for float64");
  CHECK(error_text([&] { (void)t.at({0, 3}); }) == "at: index 3 of dimension 1 of [2,3] float32 cpu");
  CHECK(error_text([&] { (void)t.slice(0, 1, 3); }) == "slice: 1..3 of dimension 0 of [2,3] float32 cpu");
  CHECK_THROWS_AS(t.permute({0, 0}), Error);
  CHECK_THROWS_AS(t.reshape({5}), Error);
  CHECK_THROWS_AS(t.copy_from(Tensor()), Error);
  CHECK(error_text([] { Tensor().raw(); }) == "tensor: used before it was given storage");
}

TEST_CASE("tensor: borrowed memory is read and never written", "[core][tensor]") {
  const auto numbers = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  Tensor t = Tensor::view(Storage::borrow(numbers->data(), 12, numbers), 0, {3}, {1}, DType::kF32);
  CHECK(t.at({2}) == 3);
  CHECK(error_text([&] { t.copy_from(Tensor::zeros({3})); }) ==
        "copy: the destination [3] float32 cpu is read-only");
}

TEST_CASE("core: a blocked map keeps its NCHW shape, slices images and whole blocks, refuses the rest") {
  const Tensor t = Tensor::empty_blocked({2, 40, 3, 5}, 1);
  CHECK(t.is_blocked());
  CHECK(t.halo() == 1);
  CHECK_FALSE(t.is_contiguous());
  CHECK(t.stride(3) == 16);
  CHECK(t.stride(2) == 7 * 16);
  CHECK(t.stride(1) == 5 * 7 * 16);
  CHECK(t.stride(0) == 3 * 5 * 7 * 16);
  CHECK(t.offset() == (7 + 1) * 16);
  const Tensor part = t.slice(0, 1, 2).slice(1, 16, 40);
  CHECK(part.shape() == Shape{1, 24, 3, 5});
  CHECK(part.offset() == t.offset() + t.stride(0) + t.stride(1));
  CHECK(part.is_blocked());
  CHECK_THROWS_AS(t.slice(1, 8, 24), Error);
  CHECK_THROWS_AS(t.slice(3, 0, 2), Error);
  CHECK_THROWS_AS(t.data<float>(), Error);
  CHECK_THROWS_AS(t.at({0, 0, 0, 0}), Error);
  CHECK_THROWS_AS(t.clone(), Error);
  CHECK(to_string(t).find("blocked") != std::string::npos);
}

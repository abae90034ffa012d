// Blocked tensors and plain arrays of doubles for tests of the training kernels.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/random.h"
#include "ops/blocked/training.h"

namespace mtyolo::test {

// An array of doubles that the tests compute with.
struct Grid {
  explicit Grid(const Shape& s) : shape(s), v(size_t(s.numel())) {}
  explicit Grid(const Tensor& t) : Grid(t.shape()) {
    const Tensor wide = t.to(DType::kF64);
    std::copy_n(wide.data<double>(), v.size(), v.begin());
  }
  double& at(int64_t n, int64_t c, int64_t i, int64_t j) {
    return v[size_t(((n * shape[1] + c) * shape[2] + i) * shape[3] + j)];
  }
  double at(int64_t n, int64_t c, int64_t i, int64_t j) const {
    return const_cast<Grid*>(this)->at(n, c, i, j);
  }
  friend Grid operator+(const Grid& a, const Grid& b) {
    Grid sum = a;
    for (size_t i = 0; i < sum.v.size(); ++i) sum.v[i] += b.v[i];
    return sum;
  }
  Shape shape;
  std::vector<double> v;
};

struct Setup {
  Context ctx{2};
  ops::Impls impls;
  Setup() { ops::register_cpu_impls(impls); }
  // Runs "cpu.blocked", after asking whether it takes the query.
  template <class Op, class... Args>
  void run(const typename Op::Query& query, Args&&... args) {
    const auto& impl = impls.choose<Op>(query);
    REQUIRE(impl.name == "cpu.blocked");
    impl.run(ctx, std::forward<Args>(args)...);
  }
};

inline Tensor random_tensor(const Shape& shape, uint32_t stream, double offset = 0) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(7, stream, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(offset + random.uniform(-1, 1));
  return t;
}

// A blocked tensor full of NaN, halo and spare lanes included.
inline Tensor dirty(const Shape& shape, int halo, DType type = DType::kF32) {
  Tensor t = Tensor::empty_blocked(shape, halo, host_allocator(), type);
  std::memset(t.storage()->data(), 0xff, t.storage()->size_bytes());
  return t;
}

// x in a blocked tensor whose spare lanes are NaN.
inline Tensor blocked_with_noise(Context& ctx, const Tensor& x, int halo, DType type = DType::kF32) {
  const Tensor t = dirty(x.shape(), halo, type);
  ops::blocked::pack(ctx, x, ops::blocked::map_of(t));
  return t;
}

template <class T = float>
bool halo_is_zero(const Tensor& t) {
  const ops::blocked::Map map = ops::blocked::map_of(t);
  const int halo = map.view.halo;
  for (int n = 0; n < map.n; ++n)
    for (int c = 0; c < map.view.channels; ++c)
      for (int i = -halo; i < map.view.h + halo; ++i)
        for (int j = -halo; j < map.view.w + halo; ++j) {
          const bool inside = i >= 0 && i < map.view.h && j >= 0 && j < map.view.w;
          if (!inside && float(*ops::blocked::element<T>(map.image(n), c, i, j)) != 0) return false;
        }
  return true;
}

// Largest absolute difference; a NaN counts as the largest of all.
inline double difference(const Tensor& plain, const Grid& want) {
  REQUIRE(plain.shape() == want.shape);
  const Grid got(plain);
  double worst = 0;
  for (size_t i = 0; i < got.v.size(); ++i) {
    const double d = std::abs(got.v[i] - want.v[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}
inline double difference(Context& ctx, const Tensor& blocked, const Grid& want) {
  return difference(ops::blocked::to_plain(ctx, blocked), want);
}

}  // namespace mtyolo::test

#include "tests/ops/op_testing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"

namespace mtyolo::test {

Tensor random_tensor(const Shape& shape, uint64_t seed, DType type) {
  RandomStream random(seed, 0, 0);
  Tensor t = Tensor::empty(shape, DType::kF32);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(random.normal());
  return t.to(type);
}

Tensor with_gaps(const Tensor& t) {
  Shape wide = t.shape();
  for (int i = 0; i < wide.rank(); ++i) wide[i] += 2;
  Tensor view = Tensor::full(wide, -77, t.dtype());
  for (int i = 0; i < wide.rank(); ++i) view = view.slice(i, 1, 1 + t.size(i));
  view.copy_from(t);
  return view;
}

std::vector<Tensor> layouts(const Tensor& image) { return {image, image.channels_last(), with_gaps(image)}; }

double max_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  const Tensor x = a.to(DType::kF64), y = b.to(DType::kF64);
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double p = x.data<double>()[i], q = y.data<double>()[i];
    if (p == q || (std::isnan(p) && std::isnan(q))) continue;
    const double d = std::abs(p - q);
    worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(worst, d);
  }
  return worst;
}

}  // namespace mtyolo::test

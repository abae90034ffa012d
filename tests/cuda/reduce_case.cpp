#include "tests/cuda/reduce_case.h"

#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

template <class T>
std::string fault(KernelType type, int rows, int columns, int extra) {
  const int stride = columns + extra;
  const auto values = random_values(size_t(rows) * size_t(stride), 5, false);
  std::vector<T> x;
  for (const double v : values) x.push_back(T(float(v)));
  const SimtBuffer<T> device_x(x);
  const SimtBuffer<float> sums(size_t(rows) + 1);
  TESTED(row_sum)({}, {type, device_x.get(), sums.get(), rows, columns, stride});
  for (int r = 0; r < rows; ++r) {
    double want = 0, size = 0;
    for (int c = 0; c < columns; ++c) {
      const double v = to_double(x[size_t(r * stride + c)]);
      want += v;
      size += std::abs(v);
    }
    const double got = sums.values()[size_t(r)];
    if (!(std::abs(got - want) <= 1e-6 * size))
      return fmt::format("row {} gives {}, expected {}", r, got, want);
  }
  return sums.untouched(size_t(rows)) ? "" : "wrote past the last row";
}

}  // namespace

std::string row_sum_fault(KernelType type, int rows, int columns, int extra) {
  if (type == KernelType::kF16) return fault<Half>(type, rows, columns, extra);
  if (type == KernelType::kBF16) return fault<BFloat16>(type, rows, columns, extra);
  return fault<float>(type, rows, columns, extra);
}

}  // namespace mtyolo::test

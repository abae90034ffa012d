#include "tests/cuda/gemm_case.h"

#include <cmath>
#include <vector>

#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

double tolerance(KernelMath math) {
  switch (math) {
    case KernelMath::kF32:
      return 1e-5;
    case KernelMath::kTF32:
      return 1e-3;
    case KernelMath::kF16:
      return 2e-3;
    case KernelMath::kBF16:
      return 1.5e-2;
    case KernelMath::kS8:
      break;
  }
  return 1e-6;  // sums are exact; scale and activation run in f32
}

template <class T>
std::vector<T> typed(const std::vector<double>& values, int rows, int columns, int stride, int after) {
  std::vector<T> out(size_t(rows) * size_t(stride) - size_t(after));
  std::memset(static_cast<void*>(out.data()), 0xff, out.size() * sizeof(T));
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      out[size_t(r) * size_t(stride) + size_t(c)] = T(float(values[size_t(r) * size_t(columns) + size_t(c)]));
  return out;
}

double activated(KernelActivation activation, double x) {
  if (activation == KernelActivation::kSilu) return x / (1 + std::exp(-x));
  return activation == KernelActivation::kLeakyRelu && x < 0 ? 0.1 * x : x;
}

std::vector<double> reference(const GemmCase& c, const std::vector<double>& a, const std::vector<double>& b,
                              const std::vector<double>& scale, const std::vector<double>& bias) {
  std::vector<double> out;
  for (int m = 0; m < c.m; ++m)
    for (int n = 0; n < c.n; ++n) {
      double sum = 0;
      for (int k = 0; k < c.k; ++k) sum += a[size_t(m * c.k + k)] * b[size_t(n * c.k + k)];
      if (c.scaled) sum = sum * scale[size_t(n)] + bias[size_t(n)];
      out.push_back(activated(c.activation, sum));
    }
  return out;
}

template <class In, class Out>
std::string fault(KernelMath math, const GemmCase& c) {
  const bool whole = math == KernelMath::kS8;
  const auto a = random_values(size_t(c.m) * size_t(c.k), 1, whole),
             b = random_values(size_t(c.n) * size_t(c.k), 2, whole);
  const auto scale = random_values(size_t(c.n), 3, false), bias = random_values(size_t(c.n), 4, false);
  const int a_stride = c.k + c.a_extra, c_stride = c.c_offset + c.n + c.c_extra;
  const SimtBuffer<In> device_a(typed<In>(a, c.m, c.k, a_stride, c.a_extra)),
      device_b(typed<In>(b, c.n, c.k, c.k, 0));
  const SimtBuffer<float> device_scale(typed<float>(scale, 1, c.n, c.n, 0));
  const SimtBuffer<float> device_bias(typed<float>(bias, 1, c.n, c.n, 0));
  const SimtBuffer<Out> device_c(size_t(c.m) * size_t(c_stride));
  GemmArgs args{.math = math, .m = c.m, .n = c.n, .k = c.k};
  args.a = device_a.get(), args.b = device_b.get(), args.c = device_c.get();
  args.a_stride = a_stride, args.b_stride = c.k, args.c_stride = c_stride, args.c_offset = c.c_offset;
  args.stages = c.stages;
  args.epilogue.activation = c.activation;
  if (c.scaled) args.epilogue.scale = device_scale.get(), args.epilogue.bias = device_bias.get();
  TESTED(gemm)({}, args);

  std::vector<double> got;
  const std::vector<Out> stored = device_c.values();
  for (int m = 0; m < c.m; ++m)
    for (int i = 0; i < c_stride; ++i) {
      const size_t at = size_t(m) * size_t(c_stride) + size_t(i);
      const bool inside = i >= c.c_offset && i < c.c_offset + c.n;
      if (inside) got.push_back(to_double(stored[at]));
      if (device_c.untouched(at) == inside)
        return fmt::format("row {}, channel {}: {}", m, i,
                           inside ? "not written" : "written outside the slice");
    }
  const double distance = relative_l2(got, reference(c, a, b, scale, bias));
  return distance <= tolerance(math) ? "" : fmt::format("relative distance {}", distance);
}

}  // namespace

std::string gemm_fault(KernelMath math, const GemmCase& c) {
  switch (math) {
    case KernelMath::kF16:
      return fault<Half, Half>(math, c);
    case KernelMath::kBF16:
      return fault<BFloat16, BFloat16>(math, c);
    case KernelMath::kS8:
      return fault<int8_t, float>(math, c);
    default:
      return fault<float, float>(math, c);
  }
}

}  // namespace mtyolo::test

#include "tests/cuda/conv_grad_case.h"

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

double tolerance(KernelMath math) {
  return math == KernelMath::kF32    ? 1e-5
         : math == KernelMath::kTF32 ? 1e-3
         : math == KernelMath::kF16  ? 2e-3
                                     : 1.5e-2;
}

int side(const ConvGradCase& c, int in) { return (in + 2 * c.pad - c.kernel) / c.stride + 1; }

// A map whose channels are a slice of its pixels, 0xff bytes around; the channels that fill the last 16 bytes
// are 0.
template <class T>
struct Map {
  Map(int n, int h, int w, int c, int before, int after, const std::vector<double>* filled)
      : first(before),
        stride(before + (c + kPack - 1) / kPack * kPack + after),
        values(stored(n * h * w, c, filled)) {
    if (c == 4) stride = 4;
    map = {values.get() + first, kType, n, h, w, c, stride};
  }
  static constexpr int kPack = 16 / int(sizeof(T));
  static constexpr KernelType kType = std::is_same_v<T, float>  ? KernelType::kF32
                                      : std::is_same_v<T, Half> ? KernelType::kF16
                                                                : KernelType::kBF16;
  std::vector<T> stored(int pixels, int c, const std::vector<double>* filled) {
    const int used = c == 4 ? 4 : (c + kPack - 1) / kPack * kPack;
    if (c == 4) stride = 4;
    std::vector<T> out(size_t(pixels) * size_t(stride));
    std::memset(static_cast<void*>(out.data()), 0xff, out.size() * sizeof(T));
    for (int p = 0; filled != nullptr && p < pixels; ++p)
      for (int i = 0; i < used; ++i)
        out[size_t(p * stride + first + i)] = T(i < c ? float((*filled)[size_t(p * c + i)]) : 0.0f);
    return out;
  }
  int first, stride;
  SimtBuffer<T> values;
  KernelMap map;
};

struct Problem {
  explicit Problem(const ConvGradCase& in) : c(in), p(side(in, in.h)), q(side(in, in.w)) {
    x = random_values(size_t(c.n * c.h * c.w * c.c), 1, false);
    gy = random_values(size_t(c.n * p * q * c.k), 2, false);
    weight = random_values(size_t(c.k * c.kernel * c.kernel * c.c), 3, false);
  }
  // Of all pairs of values that meet: use(index in gy, in weight, in x).
  void each(const std::function<void(size_t, size_t, size_t)>& use) const {
    for (int pixel = 0; pixel < c.n * p * q; ++pixel)
      for (int tap = 0; tap < c.kernel * c.kernel; ++tap) {
        const int y = pixel / q % p * c.stride - c.pad + tap / c.kernel,
                  xx = pixel % q * c.stride - c.pad + tap % c.kernel;
        if (y < 0 || y >= c.h || xx < 0 || xx >= c.w) continue;
        const int at = ((pixel / (p * q)) * c.h + y) * c.w + xx;
        for (int k = 0; k < c.k; ++k)
          for (int i = 0; i < c.c; ++i)
            use(size_t(pixel * c.k + k), size_t((k * c.kernel * c.kernel + tap) * c.c + i),
                size_t(at * c.c + i));
      }
  }
  ConvGradCase c;
  int p, q;
  std::vector<double> x, gy, weight;
};

// Of values (i, index): row i / per_row, channel first + i % per_row of rows of `stride` elements.
template <class T>
std::string compared(const SimtBuffer<T>& buffer, const std::vector<double>& want, int per_row, int first,
                     int stride, double limit, bool was_filled) {
  const std::vector<T> all = buffer.values();
  std::vector<double> got;
  for (size_t i = 0; i < all.size(); ++i) {
    const int column = int(i % size_t(stride)) - first;
    const bool inside = column >= 0 && column < per_row;
    if (inside) got.push_back(to_double(all[i]));
    if (!was_filled && buffer.untouched(i) == inside)
      return fmt::format("element {}: {}", i, inside ? "not written" : "written");
    if (was_filled && !inside && !buffer.untouched(i)) return fmt::format("element {}: written", i);
  }
  const double distance = relative_l2(got, want);
  return distance <= limit ? "" : fmt::format("relative distance {}", distance);
}

template <class T>
std::string dgrad(KernelMath math, const ConvGradCase& c) {
  const Problem problem(c);
  std::vector<double> want(problem.x.size());
  if (c.accumulate) want = problem.x;
  problem.each([&](size_t g, size_t w, size_t i) { want[i] += problem.gy[g] * problem.weight[w]; });
  const Map<T> gy(c.n, problem.p, problem.q, c.k, 0, 16, &problem.gy);
  const Map<T> gx(c.n, c.h, c.w, c.c, c.before, c.after, c.accumulate ? &problem.x : nullptr);
  const int row = c.kernel * c.kernel * c.c;
  const Map<T> weight(1, 1, c.k, row, 0, 16, &problem.weight);
  TESTED(conv_dgrad)
  ({}, {.math = math,
        .gy = gy.map,
        .weight = weight.map.data,
        .weight_stride = weight.stride,
        .kernel = c.kernel,
        .stride = c.stride,
        .pad = c.pad,
        .gx = gx.map,
        .accumulate = c.accumulate,
        .config = {c.m_tile, c.n_tile, 4, 1}});
  return compared(gx.values, want, c.c, gx.first, gx.stride, tolerance(math), c.accumulate);
}

ConvWgradArgs wgrad_args(KernelMath math, const ConvGradCase& c, const KernelMap& gy, const KernelMap& x) {
  const int channels = c.channels == 0 ? c.c : c.channels, taps = c.kernel * c.kernel;
  return {.math = math,
          .gy = gy,
          .x = x,
          .kernel = c.kernel,
          .stride = c.stride,
          .pad = c.pad,
          .stride_k = taps * channels,
          .stride_tap = c.torch ? 1 : channels,
          .stride_c = c.torch ? taps : 1,
          .channels = c.channels,
          .accumulate = c.accumulate,
          .config = {c.m_tile, c.n_tile, 4, c.splits}};
}

template <class T>
std::string wgrad(KernelMath math, const ConvGradCase& c) {
  Problem problem(c);
  ConvWgradArgs args = wgrad_args(math, c, {}, {});
  const int taps = c.kernel * c.kernel, channels = int(args.stride_k) / taps;
  std::vector<double> sums(problem.weight.size()),
      want(size_t(c.k * taps * channels), c.accumulate ? 3.0 : 0.0);
  problem.each([&](size_t g, size_t w, size_t i) { sums[w] += problem.gy[g] * problem.x[i]; });
  for (int i = 0; i < int(sums.size()); ++i)
    if (i % c.c < channels)
      want[size_t(i / c.c / taps * args.stride_k + i / c.c % taps * args.stride_tap +
                  i % c.c * args.stride_c)] += sums[size_t(i)];
  if (c.infinite) problem.gy.back() = std::numeric_limits<double>::infinity();
  const Map<T> gy(c.n, problem.p, problem.q, c.k, 0, 16, &problem.gy);
  const Map<T> x(c.n, c.h, c.w, c.c, c.before, c.after, &problem.x);
  const SimtBuffer<float> gw(std::vector<float>(want.size() + 4, 3.0f));
  const SimtBuffer<int> flag(std::vector<int>{0});
  args.gy = gy.map, args.x = x.map, args.gw = gw.get(), args.non_finite = flag.get();
  args.workspace_bytes = conv_wgrad_workspace(args);
  const SimtBuffer<float> workspace(args.workspace_bytes / sizeof(float));
  args.workspace = workspace.get();
  TESTED(conv_wgrad)({}, args);
  if (flag.values()[0] != int(c.infinite)) return "wrong flag of values that are not finite";
  want.insert(want.end(), 4, 3.0);
  std::vector<double> got;
  for (const float v : gw.values()) got.push_back(double(v));
  const double distance = c.infinite ? 0 : relative_l2(got, want);
  return distance <= tolerance(math) ? "" : fmt::format("relative distance {}", distance);
}

template <class T>
std::string bias_grad(const ConvGradCase& c) {
  const std::vector<double> values = random_values(size_t(c.n * c.h * c.w * c.k), 2, false);
  std::vector<double> want(size_t(c.k), c.accumulate ? 3.0 : 0.0);
  for (size_t i = 0; i < values.size(); ++i) want[i % size_t(c.k)] += values[i];
  const Map<T> gy(c.n, c.h, c.w, c.k, 0, 8, &values);
  const SimtBuffer<float> gb(std::vector<float>(size_t(c.k) + 4, 3.0f));
  BiasGradArgs args{.gy = gy.map, .gb = gb.get(), .accumulate = c.accumulate};
  args.workspace_bytes = bias_grad_workspace(args);
  const SimtBuffer<float> workspace(args.workspace_bytes / sizeof(float));
  args.workspace = workspace.get();
  TESTED(bias_grad)({}, args);
  want.insert(want.end(), 4, 3.0);
  std::vector<double> got;
  for (const float v : gb.values()) got.push_back(double(v));
  const double distance = relative_l2(got, want);
  return distance <= 1e-5 ? "" : fmt::format("relative distance {}", distance);
}

}  // namespace

std::string dgrad_fault(KernelMath math, const ConvGradCase& c) {
  return math == KernelMath::kF16    ? dgrad<Half>(math, c)
         : math == KernelMath::kBF16 ? dgrad<BFloat16>(math, c)
                                     : dgrad<float>(math, c);
}

std::string wgrad_fault(KernelMath math, const ConvGradCase& c) {
  return math == KernelMath::kF16    ? wgrad<Half>(math, c)
         : math == KernelMath::kBF16 ? wgrad<BFloat16>(math, c)
                                     : wgrad<float>(math, c);
}

std::string bias_grad_fault(KernelMath math, const ConvGradCase& c) {
  return math == KernelMath::kF16    ? bias_grad<Half>(c)
         : math == KernelMath::kBF16 ? bias_grad<BFloat16>(c)
                                     : bias_grad<float>(c);
}

std::string wgrad_order_fault() {
  const ConvGradCase c{.n = 4, .h = 4, .w = 4, .c = 8, .k = 16, .splits = 4};  // an image is a tile of depth
  Problem problem(c);
  for (double& v : problem.gy) v /= 3;  // sums are rounded
  const Map<float> gy(c.n, c.h, c.w, c.k, 0, 0, &problem.gy), x(c.n, c.h, c.w, c.c, 0, 0, &problem.x);
  const SimtBuffer<float> whole(size_t(c.k * c.c)), added(size_t(c.k * c.c)),
      workspace(size_t(4 * c.k * c.c));
  ConvWgradArgs args = wgrad_args(KernelMath::kF32, c, gy.map, x.map);
  args.gw = whole.get(), args.workspace = workspace.get(), args.workspace_bytes = conv_wgrad_workspace(args);
  TESTED(conv_wgrad)({}, args);
  args.config.splits = 1, args.gw = added.get(), args.gy.n = args.x.n = 1;
  for (int image = 0; image < c.n; ++image) {
    args.gy.data = gy.values.get() + image * c.h * c.w * gy.stride;
    args.x.data = x.values.get() + image * c.h * c.w * x.stride;
    args.accumulate = image > 0;
    TESTED(conv_wgrad)({}, args);
  }
  return whole.values() == added.values() ? "" : "parts were added in another order";
}

}  // namespace mtyolo::test

#include "tests/cuda/conv_grad_case.h"

#include <functional>
#include <limits>

#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

using Values = std::vector<double>;

constexpr double kTolerances[] = {1e-5, 1e-3, 2e-3, 1.5e-2};  // of f32, tf32, f16, bf16

// A map whose channels are a slice of its pixels; the channels that fill the last 16 bytes are 0, all others
// 0xff bytes. Without values those of the slice are too.
template <class T>
struct Map {
  static constexpr int kPack = 16 / int(sizeof(T));
  static std::vector<T> stored(const KernelMap& m, int before, const Values& values) {
    std::vector<T> out(size_t(m.pixels() * m.pixel_stride));
    std::memset(static_cast<void*>(out.data()), 0xff, out.size() * sizeof(T));
    for (int p = 0; !values.empty() && p < int(m.pixels()); ++p)
      for (int i = 0; i < m.c || (m.c != 4 && i % kPack != 0); ++i)
        out[size_t(p * m.pixel_stride + before + i)] = T(i < m.c ? float(values[size_t(p * m.c + i)]) : 0.0f);
    return out;
  }
  Map(KernelType type, int n, int h, int w, int c, const Values& values, int before = 0, int after = 0)
      : map{nullptr, type, n, h, w, c, c == 4 ? 4 : before + (c + kPack - 1) / kPack * kPack + after},
        first(before),
        buffer(stored(map, before, values)) {
    map.data = buffer.get() + before;
  }
  KernelMap map;
  int first;
  SimtBuffer<T> buffer;
};

struct Problem : ConvGradCase::Shape {
  explicit Problem(const Shape& s) : Shape(s) {
    in = c / groups, p = (h + 2 * pad - kernel) / stride + 1, q = (w + 2 * pad - kernel) / stride + 1;
    x = random_values(size_t(n * h * w * c), 1, false);
    gy = random_values(size_t(n * p * q * k), 2, false);
    weight = random_values(size_t(k * kernel * kernel * in), 3, false);
  }
  // Of all values that meet in y: use(index in gy, in weight, in x).
  template <class Use>
  void each(Use use) const {
    for (int pixel = 0; pixel < n * p * q; ++pixel)
      for (int tap = 0; tap < kernel * kernel; ++tap) {
        const int at_y = pixel / q % p * stride - pad + tap / kernel,
                  at_x = pixel % q * stride - pad + tap % kernel;
        if (at_y < 0 || at_y >= h || at_x < 0 || at_x >= w) continue;
        const int at = (pixel / (p * q) * h + at_y) * w + at_x;
        for (int o = 0; o < k; ++o)
          for (int i = 0; i < in; ++i)
            use(size_t(pixel * k + o), size_t((o * kernel * kernel + tap) * in + i),
                size_t(at * c + o / (k / groups) * in + i));
      }
  }
  int in, p, q;  // in: channels of a group of x
  Values x, gy, weight;
};

std::string compared(const Values& got, const Values& want, double limit) {
  const double distance = relative_l2(got, want);
  return distance <= limit ? "" : fmt::format("relative distance {}", distance);
}

template <class T>
std::string dgrad(KernelMath math, const ConvGradCase& c) {
  const Problem s(c.shape);
  Values want = c.accumulate ? s.x : Values(s.x.size());
  s.each([&](size_t g, size_t w, size_t i) { want[i] += s.gy[g] * s.weight[w]; });
  const KernelType type = type_of(math);
  const Map<T> gy(type, s.n, s.p, s.q, s.k, s.gy, 0, 16);
  const Map<T> gx(type, s.n, s.h, s.w, s.c, c.accumulate ? s.x : Values{}, c.before, c.after);
  const Map<T> weight(type, 1, 1, s.k, s.kernel * s.kernel * s.in, s.weight, 0, 16);
  ConvDgradArgs args{math,  gy.map,   weight.map.data, weight.map.pixel_stride, s.kernel, s.stride,
                     s.pad, s.groups, gx.map};
  args.accumulate = c.accumulate, args.config = {c.m_tile, c.n_tile, 4, 1};
  TESTED(conv_dgrad)({}, args);
  const std::vector<T> stored = gx.buffer.values();
  Values got;
  for (size_t i = 0; i < stored.size(); ++i) {
    const int channel = int(i % size_t(gx.map.pixel_stride)) - gx.first;
    if (channel >= 0 && channel < s.c) got.push_back(to_double(stored[i]));
    else if (!gx.buffer.untouched(i)) return fmt::format("element {}: written outside the slice", i);
  }
  return compared(got, want, kTolerances[int(math)]);
}

// Of sums that are added to 3, or overwrite it; args.*to becomes their place, behind which 3 must stay.
template <class Args>
std::string sums_fault(void (*kernel)(KernelStream, const Args&), Args args, float* Args::*to,
                       size_t workspace_bytes, Values want, double limit, bool infinite) {
  for (double& v : want) v += args.accumulate ? 3 : 0;
  want.insert(want.end(), 4, 3.0);
  const SimtBuffer<float> sums(std::vector<float>(want.size(), 3.0f)),
      workspace(workspace_bytes / sizeof(float));
  const SimtBuffer<int> flag(std::vector<int>{0});
  args.*to = sums.get(), args.non_finite = flag.get();
  args.workspace = workspace.get(), args.workspace_bytes = workspace_bytes;
  kernel({}, args);
  if (flag.values()[0] != int(infinite)) return "wrong flag of values that are not finite";
  const std::vector<float> got = sums.values();
  return infinite ? "" : compared({got.begin(), got.end()}, want, limit);
}

ConvWgradArgs wgrad_args(KernelMath math, const ConvGradCase& c, const KernelMap& gy, const KernelMap& x) {
  const int channels = c.channels == 0 ? c.shape.c / c.shape.groups : c.channels,
            taps = c.shape.kernel * c.shape.kernel;
  ConvWgradArgs args{math, gy, x, c.shape.kernel, c.shape.stride, c.shape.pad, c.shape.groups};
  args.stride_k = taps * channels, args.stride_tap = c.torch ? 1 : channels,
  args.stride_c = c.torch ? taps : 1;
  args.channels = c.channels, args.accumulate = c.accumulate, args.config = {c.m_tile, c.n_tile, 4, c.splits};
  return args;
}

template <class T>
std::string wgrad(KernelMath math, const ConvGradCase& c) {
  Problem s(c.shape);
  if (c.infinite) s.gy.back() = std::numeric_limits<double>::infinity();
  const Map<T> gy(type_of(math), s.n, s.p, s.q, s.k, s.gy, 0, 16);
  const Map<T> x(type_of(math), s.n, s.h, s.w, s.c, s.x, c.before, c.after);
  const ConvWgradArgs args = wgrad_args(math, c, gy.map, x.map);
  const int taps = s.kernel * s.kernel, channels = int(args.stride_k) / taps;
  Values want(size_t(s.k) * size_t(args.stride_k));
  s.each([&](size_t g, size_t w, size_t i) {
    const int channel = int(w) % s.in, tap = int(w) / s.in % taps, k = int(w) / s.in / taps;
    if (channel < channels)
      want[size_t(k * args.stride_k + tap * args.stride_tap + channel * args.stride_c)] += s.gy[g] * s.x[i];
  });
  return sums_fault(&TESTED(conv_wgrad), args, &ConvWgradArgs::gw, conv_wgrad_workspace(args), want,
                    kTolerances[int(math)], c.infinite);
}

template <class T>
std::string bias_grad(KernelMath math, const ConvGradCase& c) {
  const Problem s(c.shape);
  Values want(size_t(s.k));
  for (size_t i = 0; i < s.gy.size(); ++i) want[i % size_t(s.k)] += s.gy[i];
  const Map<T> gy(type_of(math), s.n, s.p, s.q, s.k, s.gy, 0, 8);
  BiasGradArgs args{gy.map};
  args.accumulate = c.accumulate;
  return sums_fault(&TESTED(bias_grad), args, &BiasGradArgs::gb, bias_grad_workspace(args), want, 1e-5,
                    false);
}

}  // namespace

#define MTYOLO_BY_TYPE(name)                                         \
  std::string name##_fault(KernelMath math, const ConvGradCase& c) { \
    return math == KernelMath::kF16    ? name<Half>(math, c)         \
           : math == KernelMath::kBF16 ? name<BFloat16>(math, c)     \
                                       : name<float>(math, c);       \
  }
MTYOLO_BY_TYPE(dgrad)
MTYOLO_BY_TYPE(wgrad)
MTYOLO_BY_TYPE(bias_grad)

std::string wgrad_order_fault() {
  const ConvGradCase c{.shape = {4, 4, 4, 8, 16}, .splits = 4};  // an image is a tile of depth
  Problem s(c.shape);
  for (double& v : s.gy) v /= 3;  // sums are rounded
  const Map<float> gy(KernelType::kF32, 4, 4, 4, 16, s.gy), x(KernelType::kF32, 4, 4, 4, 8, s.x);
  const SimtBuffer<float> whole(16 * 8), added(16 * 8), workspace(4 * 16 * 8);
  ConvWgradArgs args = wgrad_args(KernelMath::kF32, c, gy.map, x.map);
  args.gw = whole.get(), args.workspace = workspace.get(), args.workspace_bytes = conv_wgrad_workspace(args);
  TESTED(conv_wgrad)({}, args);
  args.config.splits = 1, args.gw = added.get(), args.gy.n = args.x.n = 1;
  for (int image = 0; image < 4; ++image) {
    args.gy.data = gy.buffer.get() + image * 16 * 16, args.x.data = x.buffer.get() + image * 16 * 8;
    args.accumulate = image > 0;
    TESTED(conv_wgrad)({}, args);
  }
  return whole.values() == added.values() ? "" : "parts were added in another order";
}

}  // namespace mtyolo::test

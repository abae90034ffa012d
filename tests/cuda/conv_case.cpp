#include "tests/cuda/conv_case.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/conv_hopper.h"
#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

constexpr double kResultScale = 1.0 / 512;  // of s8 results

double tolerance(const ConvArgs& args) {
  if (args.y.type == KernelType::kF16) return 2e-3;
  if (args.y.type == KernelType::kBF16) return 1.5e-2;
  return args.math == KernelMath::kTF32 ? 1e-3 : args.math == KernelMath::kS8 ? 1e-6 : 1e-5;
}

double activated(KernelActivation activation, double x) {
  switch (activation) {
    case KernelActivation::kSilu:
      return x / (1 + std::exp(-x));
    case KernelActivation::kLeakyRelu:
      return x < 0 ? 0.1 * x : x;
    case KernelActivation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case KernelActivation::kRelu:
      return std::max(x, 0.0);
    case KernelActivation::kNone:
      break;
  }
  return x;
}

// Rows of `columns` values, each after `offset` and before `extra` others of 0xFF bytes.
template <class T>
std::vector<T> typed(const std::vector<double>& values, int columns, int offset = 0, int extra = 0) {
  const size_t rows = values.size() / size_t(columns), stride = size_t(offset + columns + extra);
  std::vector<T> out(rows * stride);
  std::memset(static_cast<void*>(out.data()), 0xff, out.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i)
    out[i / size_t(columns) * stride + size_t(offset) + i % size_t(columns)] = T(float(values[i]));
  return out;
}

struct Operands {
  std::vector<double> x{}, weight{}, scale{}, bias{}, residual{};
};

std::vector<double> reference(const ConvArgs& a, const Operands& o) {
  std::vector<double> out;
  const int depth = a.x.c / a.groups, per_group = a.y.c / a.groups;
  for (int pixel = 0; pixel < int(a.y.pixels()); ++pixel)
    for (int k = 0; k < a.y.c; ++k) {
      const int n = pixel / (a.y.h * a.y.w), p = pixel / a.y.w % a.y.h, q = pixel % a.y.w;
      double sum = 0;
      for (int tap = 0; tap < a.kernel * a.kernel; ++tap) {
        const int y = p * a.stride - a.pad + tap / a.kernel, x = q * a.stride - a.pad + tap % a.kernel;
        if (y < 0 || x < 0 || y >= a.x.h || x >= a.x.w) continue;
        const double* from = &o.x[size_t(((n * a.x.h + y) * a.x.w + x) * a.x.c + k / per_group * depth)];
        const double* weight = &o.weight[size_t(k * a.weight_stride + tap * depth)];
        for (int c = 0; c < depth; ++c) sum += from[c] * weight[c];
      }
      if (!o.scale.empty()) sum = sum * o.scale[size_t(k)] + o.bias[size_t(k)];
      sum = activated(a.epilogue.activation, sum);
      out.push_back(o.residual.empty() ? sum : sum + o.residual[out.size()]);
    }
  return out;
}

Operands operands(const ConvArgs& a, const ConvCase& c) {
  const bool whole = a.math == KernelMath::kS8;
  Operands o{.x = random_values(size_t(a.x.pixels()) * size_t(c.c), 1, whole),
             .weight = random_values(size_t(c.k) * size_t(a.weight_stride), 2, whole)};
  for (size_t i = 0; i < o.x.size(); ++i)
    if (c.real != 0 && int(i % size_t(c.c)) >= c.real) o.x[i] = 0;
  for (size_t i = 0; i < o.weight.size(); ++i)
    if (int(i % size_t(a.weight_stride)) >= c.kernel * c.kernel * c.c / c.groups) o.weight[i] = 0;
  if (c.scaled) o.scale = random_values(size_t(c.k), 3, false), o.bias = random_values(size_t(c.k), 4, false);
  if (type_of(a.math) == KernelType::kF32)
    for (double& v : o.x) v /= 3;                 // sums depend on the order of additions
  for (double& v : o.scale) v /= whole ? 64 : 1;  // f16 results stay below 65504
  if (c.residual) o.residual = random_values(size_t(a.y.pixels()) * size_t(c.k), 5, false);
  return o;
}

// One destination against the results; each pixel stands `copies` times.
template <class Out>
std::string wrong_map(const ConvArgs& a, const ConvCase& c, const SimtBuffer<Out>& map,
                      const std::vector<double>& want, int copies) {
  const std::vector<Out> stored = map.values();
  const int up = copies == 4 ? 2 : 1, stride = a.y.pixel_stride, width = a.y.w * up;
  std::vector<double> got, expected;
  for (size_t at = 0; at < stored.size(); ++at) {
    const int pixel = int(at) / stride, channel = int(at) % stride - c.y_offset;
    const bool inside = channel >= 0 && channel < c.k;
    if (map.untouched(at) == inside && a.y.type != KernelType::kS8)
      return fmt::format("pixel {}, channel {}: {}", pixel, channel,
                         inside ? "not written" : "written beside");
    if (!inside) continue;
    const int source = pixel / width / up * a.y.w + pixel % width / up;
    got.push_back(to_double(stored[at])), expected.push_back(want[size_t(source * c.k + channel)]);
    const double level = std::clamp(expected.back() * kResultScale, -128.0, 127.0);
    if (a.y.type == KernelType::kS8 && !(std::abs(got.back() - level) <= 0.5 + 1e-3))
      return fmt::format("pixel {}, channel {}: {} instead of {}", pixel, channel, got.back(), level);
  }
  const double distance = a.y.type == KernelType::kS8 ? 0 : relative_l2(got, expected);
  return distance <= tolerance(a) ? "" : fmt::format("relative distance {}", distance);
}

// Moments against those of the stored values, in double precision.
template <class Out>
std::string wrong_moments(const ConvArgs& a, const ConvCase& c, const std::vector<Out>& y,
                          const std::vector<float>& moments) {
  for (size_t i = 0; i < moments.size() / 3; ++i) {
    const int tile = int(i) / c.k, k = int(i) % c.k, first = tile * a.config.m;
    const int count = std::min(int(a.y.pixels()) - first, a.config.m);
    const auto value = [&](int row) {
      return to_double(y[size_t((first + row) * a.y.pixel_stride + c.y_offset + k)]);
    };
    double mean = 0, m2 = 0;
    for (int row = 0; row < count; ++row) mean += value(row) / count;
    for (int row = 0; row < count; ++row) m2 += (value(row) - mean) * (value(row) - mean);
    const float* got = &moments[size_t(tile * 3 * c.k + k)];
    if (int(got[0]) != count ||
        !(std::abs(got[c.k] - mean) <= 1e-5 * (std::sqrt(m2 / count) + std::abs(mean))) ||
        !(std::abs(got[2 * c.k] - m2) <= 1e-5 * m2 + 1e-9))
      return fmt::format("moments of tile {}, channel {}: {} {} {} instead of {} {} {}", tile, k, got[0],
                         got[c.k], got[2 * c.k], count, mean, m2);
  }
  return "";
}

template <class In, class Out>
std::string fault(KernelMath math, const ConvCase& c) {
  ConvArgs a = conv_args(math, c);
  const Operands o = operands(a, c);
  const size_t y_count = size_t(a.y.pixels()) * size_t(a.y.pixel_stride);
  const SimtBuffer<In> x(typed<In>(o.x, c.c, 0, c.x_extra)), weight(typed<In>(o.weight, a.weight_stride));
  const SimtBuffer<float> scale(typed<float>(o.scale, 1)), bias(typed<float>(o.bias, 1));
  const SimtBuffer<Out> y(y_count), second(y_count * size_t(c.second));
  const SimtBuffer<Out> residual(typed<Out>(o.residual, c.k, c.y_offset, c.y_extra));
  a.x.data = x.get(), a.weight = weight.get(), a.y.data = y.get() + c.y_offset;
  if (c.scaled) a.epilogue.scale = scale.get(), a.epilogue.bias = bias.get();
  if (c.residual) a.residual.data = residual.get() + c.y_offset;
  if (c.second != 0) a.second.data = second.get() + c.y_offset;
  const SimtBuffer<float> moments(c.moments ? size_t(conv_moment_tiles(a) * 3 * c.k) : 0);
  if (c.moments) a.moments = moments.get();
  const SimtBuffer<char> workspace(a.workspace_bytes = conv_workspace(a));
  const size_t counters = std::min<size_t>(a.workspace_bytes, 16384);
  if (counters != 0) std::memset(a.workspace = workspace.get(), 0, counters);
  if (c.hopper != 0) TESTED(conv_hopper)({}, a, c.hopper);
  else TESTED(conv)({}, a);

  const std::vector<double> want = reference(a, o);
  std::string wrong = wrong_map(a, c, y, want, 1);
  if (wrong.empty() && c.second != 0) wrong = wrong_map(a, c, second, want, c.second);
  if (wrong.empty() && c.moments) wrong = wrong_moments(a, c, y.values(), moments.values());
  for (size_t i = 0; i < counters; ++i)
    if (workspace.get()[i] != 0) return "a counter of the workspace is not zero";
  return wrong;
}

}  // namespace

ConvArgs conv_args(KernelMath math, const ConvCase& c) {
  ConvArgs a;
  a.math = math, a.kernel = c.kernel, a.stride = c.stride, a.pad = c.kernel / 2, a.groups = c.groups;
  const KernelType type = type_of(math);
  const auto out_of = [&](int in) { return (in + 2 * a.pad - c.kernel) / c.stride + 1; };
  a.x = {nullptr, type, c.n, c.size, c.size + 1, c.c, c.c + c.x_extra};
  a.y = {nullptr,
         c.out.value_or(type == KernelType::kS8 ? KernelType::kF32 : type),
         c.n,
         out_of(a.x.h),
         out_of(a.x.w),
         c.k,
         c.y_offset + c.k + c.y_extra};
  a.residual = a.second = a.y;
  a.upsample_second = c.second == 4;
  if (a.upsample_second) a.second.h *= 2, a.second.w *= 2;
  const int chunk = 16 / bytes_of(type);
  a.weight_stride = (c.kernel * c.kernel * c.c / c.groups + chunk - 1) / chunk * chunk;
  a.epilogue.activation = c.activation;
  if (a.y.type == KernelType::kS8) a.epilogue.out_scale = float(kResultScale);
  a.config = c.config;
  if (c.config.m == 0) a.config = conv_configs(a, 132, 227 << 10).at(0);
  return a;
}

std::string conv_fault(KernelMath math, const ConvCase& c) {
  const KernelType out = conv_args(math, c).y.type;
  switch (math) {
    case KernelMath::kF16:
      return out == KernelType::kF32 ? fault<Half, float>(math, c) : fault<Half, Half>(math, c);
    case KernelMath::kBF16:
      return out == KernelType::kF32 ? fault<BFloat16, float>(math, c) : fault<BFloat16, BFloat16>(math, c);
    case KernelMath::kS8:
      return out == KernelType::kS8    ? fault<int8_t, int8_t>(math, c)
             : out == KernelType::kF16 ? fault<int8_t, Half>(math, c)
                                       : fault<int8_t, float>(math, c);
    default:
      return fault<float, float>(math, c);
  }
}

}  // namespace mtyolo::test

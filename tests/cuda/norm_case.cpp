#include "tests/cuda/norm_case.h"

#include <algorithm>

#include "ops/cpu/kernels.h"
#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

using Doubles = std::vector<double>;

// A map on the device with channels beside it, which hold 0xFF bytes; so do its own without values.
template <class T>
struct Slice {
  const int c, before, stride;
  Doubles stored;
  SimtBuffer<T> memory;
  KernelMap map;

  Slice(KernelType type, const NormCase& shape, int in_front, int behind, const Doubles& values = {})
      : c(shape.c),
        before(in_front),
        stride(in_front + shape.c + behind),
        memory(filled(shape.n * shape.h * shape.w, values)),
        map{memory.get() + before, type, shape.n, shape.h, shape.w, c, stride} {}
  std::vector<T> filled(int pixels, const Doubles& values) {
    std::vector<T> all(size_t(pixels * stride));
    std::memset(static_cast<void*>(all.data()), 0xff, all.size() * sizeof(T));
    for (size_t i = 0; i < values.size(); ++i) {
      T& to = all[i / size_t(c) * size_t(stride) + size_t(before) + i % size_t(c)];
      to = T(float(values[i]));
      stored.push_back(to_double(to));
    }
    return all;
  }
  std::string compare(const char* what, const Doubles& want, double tolerance) const {
    Doubles got;
    const std::vector<T> now = memory.values();
    for (size_t i = 0; i < now.size(); ++i) {
      const int channel = int(i) % stride - before;
      const bool inside = channel >= 0 && channel < c;
      if (inside) got.push_back(to_double(now[i]));
      if (memory.untouched(i) == inside)
        return fmt::format("{}, pixel {}, channel {}: {}", what, int(i) / stride, channel,
                           inside ? "not written" : "written");
    }
    const double distance = relative_l2(got, want);
    return distance <= tolerance ? "" : fmt::format("{}: relative distance {}", what, distance);
  }
};

// NHWC doubles as an NCHW tensor, and back.
Tensor tensor_of(const NormCase& c, const Doubles& values) {
  return Tensor::from(values, {c.n, c.h, c.w, c.c}).permute({0, 3, 1, 2});
}
Doubles doubles_of(const Tensor& t) {
  const Tensor flat = t.rank() == 4 ? t.permute({0, 2, 3, 1}).contiguous() : t;
  return {flat.data<double>(), flat.data<double>() + flat.numel()};
}

// A vector of the channels on the device beside that of the reference.
struct Vectors {
  Tensor reference;
  SimtBuffer<float> device;
  Vectors(int c, uint64_t seed, double shift)
      : reference(Tensor::empty({c}, DType::kF64)),
        device(filled(random_values(size_t(c), seed, false), shift)) {}
  std::vector<float> filled(const Doubles& values, double shift) {
    std::vector<float> all;
    for (const double v : values) {
      all.push_back(float(v + shift));
      reference.data<double>()[all.size() - 1] = all.back();
    }
    return all;
  }
  std::string compare(const char* what, double tolerance) const {
    const std::vector<float> got = device.values();
    const double distance = relative_l2({got.begin(), got.end()}, doubles_of(reference));
    return distance <= tolerance ? "" : fmt::format("{}: relative distance {}", what, distance);
  }
};

double tolerance_of(KernelType type) {
  return type == KernelType::kF32 ? 1e-5 : type == KernelType::kF16 ? 2e-3 : 1.5e-2;
}

ops::Activation activation_of(KernelActivation a) {
  return {a == KernelActivation::kSilu        ? ops::ActivationKind::kSilu
          : a == KernelActivation::kLeakyRelu ? ops::ActivationKind::kLeakyRelu
                                              : ops::ActivationKind::kIdentity};
}

// scale and shift beside the statistics.
std::string affine_fault(const Vectors& weight, const Vectors& bias, const Vectors& mean,
                         const Vectors& inv_std, const SimtBuffer<float>& scale,
                         const SimtBuffer<float>& shift) {
  const auto w = weight.device.values(), b = bias.device.values(), m = mean.device.values(),
             inv = inv_std.device.values(), got_scale = scale.values(), got_shift = shift.values();
  for (size_t i = 0; i < w.size(); ++i) {
    const double want_scale = w[i] * double(inv[i]), want_shift = b[i] - m[i] * want_scale;
    if (!(std::abs(got_scale[i] - want_scale) <= 1e-6 * std::abs(want_scale)) ||
        !(std::abs(got_shift[i] - want_shift) <= 1e-6 * (1 + std::abs(m[i] * want_scale))))
      return fmt::format("channel {}: scale {}, shift {}", i, got_scale[i], got_shift[i]);
  }
  return "";
}

template <class T>
std::string fault(KernelType type, const NormCase& c) {
  const size_t count = size_t(c.n * c.h * c.w * c.c);
  Doubles values = random_values(count, 1, false);
  for (double& v : values) v = c.centre + c.spread * v;
  const Slice<T> y(type, c, 0, 0, values), a(type, c, c.before, c.after), gy(type, c, c.after, c.before),
      ga(type, c, c.before, c.after, random_values(count, 2, false));
  const Tensor y_reference = tensor_of(c, y.stored), ga_reference = tensor_of(c, ga.stored);
  Vectors weight(c.c, 3, 1.5), bias(c.c, 4, 0), running_mean(c.c, 5, c.centre), running_var(c.c, 6, 1.25),
      mean(c.c, 7, 0), inv_std(c.c, 7, 0), gw(c.c, 8, 0), gb(c.c, 9, 0);
  const SimtBuffer<float> scale(size_t(c.c)), shift(size_t(c.c)), sums(2 * size_t(c.c)),
      moments(size_t(3 * c.c * bn_moment_tiles(y.map))), workspace(bn_workspace(y.map) / sizeof(float));

  const NormChannels norm{weight.device.get(),
                          bias.device.get(),
                          running_mean.device.get(),
                          running_var.device.get(),
                          mean.device.get(),
                          inv_std.device.get(),
                          scale.get(),
                          shift.get()};
  BnActArgs args{.norm = norm, .activation = c.activation, .frozen = c.frozen, .y = y.map, .a = a.map};
  args.ga = ga.map, args.gy = c.in_place ? ga.map : gy.map;
  args.grad_weight = gw.device.get(), args.grad_bias = gb.device.get();
  args.sums = sums.get(), args.workspace = workspace.get();
  TESTED(bn_moments)({}, y.map, moments.get());
  TESTED(bn_finalize)({}, {norm, c.c, c.frozen ? nullptr : moments.get(), bn_moment_tiles(y.map)});
  TESTED(bn_act_apply)({}, args);
  TESTED(bn_act_backward_reduce)({}, args);
  TESTED(bn_act_backward_apply)({}, args);

  Context ctx{1};
  const ops::BatchNormTrain p{.frozen = c.frozen, .activation = activation_of(c.activation)};
  const ops::BatchNormStats stats{weight.reference, bias.reference, running_mean.reference,
                                  running_var.reference};
  const ops::BatchNormSaved saved{mean.reference, inv_std.reference};
  Tensor a_reference = Tensor::empty(y_reference.shape(), DType::kF64);
  const ops::BatchNormGrads grads{Tensor::empty(y_reference.shape(), DType::kF64), gw.reference,
                                  gb.reference};
  ops::batch_norm_train_reference_cpu(ctx, y_reference, stats, p, saved, a_reference);
  ops::batch_norm_train_grad_reference_cpu(ctx, y_reference, ga_reference, stats, p, saved, grads);

  // The mean is kept in f32: half its last place, in units of the deviation.
  const double mean_error = std::abs(c.centre) * 0x1p-24 / (0.5 * c.spread);
  const double exact = 1e-5 + mean_error, rounded = tolerance_of(type) + mean_error;
  const std::string faults[] = {mean.compare("mean", 1e-5),
                                inv_std.compare("inv_std", 1e-5),
                                running_mean.compare("running mean", c.frozen ? 1e-12 : 1e-5),
                                running_var.compare("running variance", c.frozen ? 1e-12 : 1e-5),
                                gw.compare("weight's gradient", exact),
                                gb.compare("bias' gradient", exact),
                                a.compare("a", doubles_of(a_reference), rounded),
                                (c.in_place ? ga : gy).compare("gy", doubles_of(grads.gx), rounded)};
  for (const std::string& f : faults)
    if (!f.empty()) return f;
  return affine_fault(weight, bias, mean, inv_std, scale, shift);
}

}  // namespace

std::string norm_fault(KernelType type, const NormCase& c) {
  if (type == KernelType::kF16) return fault<Half>(type, c);
  if (type == KernelType::kBF16) return fault<BFloat16>(type, c);
  return fault<float>(type, c);
}

}  // namespace mtyolo::test

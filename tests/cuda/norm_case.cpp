#include "tests/cuda/norm_case.h"

#include <algorithm>

#include "cuda/reduce.h"
#include "ops/cpu/kernels.h"
#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

using Doubles = std::vector<double>;

// A map on the device with channels beside it, all 0xFF bytes at first.
template <class T>
struct Slice {
  const NormCase c;
  const int before, stride;
  SimtBuffer<T> memory;
  KernelMap map;

  Slice(KernelType type, const NormCase& shape, int in_front, int behind)
      : c(shape),
        before(in_front),
        stride(in_front + shape.c + behind),
        memory(size_t(shape.n * shape.h * shape.w * stride)),
        map{memory.get() + before, type, c.n, c.h, c.w, c.c, stride} {}
  size_t place(int pixel, int channel) const { return size_t(pixel * stride + before + channel); }
  template <class F>
  void each(F f) const {  // pixel, channel: neighbours count too
    for (int p = 0; p < int(map.pixels()); ++p)
      for (int i = -before; i < stride - before; ++i) f(p, i);
  }
  // As stored.
  Doubles fill(const Doubles& values) {
    Doubles stored;
    each([&](int p, int i) {
      if (i < 0 || i >= c.c) return;
      memory.get()[place(p, i)] = T(float(values[stored.size()]));
      stored.push_back(to_double(memory.get()[place(p, i)]));
    });
    return stored;
  }
  std::string compare(const char* what, const Doubles& want, double tolerance) const {
    Doubles got;
    std::string fault;
    each([&](int p, int i) {
      const bool inside = i >= 0 && i < c.c;
      if (inside) got.push_back(to_double(memory.get()[place(p, i)]));
      if (memory.untouched(place(p, i)) == inside)
        fault = fmt::format("{}, pixel {}, channel {}: {}", what, p, i, inside ? "not written" : "written");
    });
    const double distance = relative_l2(got, want);
    return !fault.empty() || distance <= tolerance ? fault
                                                   : fmt::format("{}: relative distance {}", what, distance);
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

// Channel vectors of the device beside those of the reference.
struct Vectors {
  SimtBuffer<float> device;
  Tensor reference;
  Vectors(int c, uint64_t seed, double shift)
      : device(size_t(c)), reference(Tensor::empty({c}, DType::kF64)) {
    const Doubles values = random_values(size_t(c), seed, false);
    for (int i = 0; i < c; ++i)
      reference.data<double>()[i] = device.get()[i] = float(values[size_t(i)] + shift);
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
std::string affine_fault(const NormChannels& n, int channels) {
  for (int i = 0; i < channels; ++i) {
    const double scale = n.weight[i] * double(n.inv_std[i]), shift = n.bias[i] - n.mean[i] * scale;
    if (!(std::abs(n.scale[i] - scale) <= 1e-6 * std::abs(scale)) ||
        !(std::abs(n.shift[i] - shift) <= 1e-6 * (1 + std::abs(n.mean[i] * scale))))
      return fmt::format("channel {}: scale {}, shift {}", i, n.scale[i], n.shift[i]);
  }
  return "";
}

template <class T>
std::string fault(KernelType type, const NormCase& c) {
  Slice<T> y(type, c, 0, 0), a(type, c, c.before, c.after), ga(type, c, c.before, c.after),
      gy(type, c, c.after, c.before);
  const size_t count = size_t(c.c) * size_t(y.map.pixels());
  Doubles values = random_values(count, 1, false);
  for (double& v : values) v = c.centre + c.spread * v;
  const Tensor y_reference = tensor_of(c, y.fill(values));
  const Tensor ga_reference = tensor_of(c, ga.fill(random_values(count, 2, false)));
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
  return affine_fault(norm, c.c);
}

template <class T>
std::string sum_fault(KernelType type, const NormCase& c) {
  Slice<T> x(type, c, c.before, c.after);
  const Doubles stored = x.fill(random_values(size_t(c.c) * size_t(x.map.pixels()), 1, false));
  const SimtBuffer<float> workspace(column_workspace(x.map, 1) / sizeof(float)), sums(size_t(c.c));
  for (const bool accumulate : {false, true})
    TESTED(pixel_sum)({}, {x.map, sums.get(), accumulate, workspace.get()});
  for (size_t i = 0; i < size_t(c.c); ++i) {
    double want = 0, size = 0;
    for (size_t at = i; at < stored.size(); at += size_t(c.c))
      want += 2 * stored[at], size += 2 * std::abs(stored[at]);
    if (!(std::abs(sums.get()[i] - want) <= 1e-6 * size))
      return fmt::format("channel {} gives {}, expected {}", i, sums.get()[i], want);
  }
  return "";
}

}  // namespace

std::string norm_fault(KernelType type, const NormCase& c) {
  if (type == KernelType::kF16) return fault<Half>(type, c);
  if (type == KernelType::kBF16) return fault<BFloat16>(type, c);
  return fault<float>(type, c);
}

std::string pixel_sum_fault(KernelType type, const NormCase& c) {
  if (type == KernelType::kF16) return sum_fault<Half>(type, c);
  if (type == KernelType::kBF16) return sum_fault<BFloat16>(type, c);
  return sum_fault<float>(type, c);
}

}  // namespace mtyolo::test

#include "tests/cuda/map_case.h"

#include <limits>

#include "cuda/image.h"
#include "cuda/map_grad.h"
#include "cuda/map_ops.h"
#include "data/image.h"
#include "ops/activation.h"
#include "ops/cpu/kernels.h"
#include "ops/space_to_depth.h"

namespace mtyolo::test {
namespace {

// f(value) with a value of the C++ type.
template <class F>
auto with_type(KernelType type, F&& f) {
  if (type == KernelType::kF16) return f(Half());
  if (type == KernelType::kBF16) return f(BFloat16());
  if (type == KernelType::kS8) return f(int8_t());
  return f(float());
}

Tensor zeros(const Shape& shape) { return Tensor::zeros(shape, DType::kF64); }

Context& context() {
  static Context ctx(1);
  return ctx;
}

template <class F>
Tensor mapped(const Tensor& x, F&& f) {
  Tensor y = x.clone();
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = f(y.data<double>()[i]);
  return y;
}

SimtBuffer<float> device_floats(const Tensor& t) {
  const double* p = t.data<double>();
  return SimtBuffer<float>(std::vector<float>(p, p + t.numel()));
}

}  // namespace

TestMap::TestMap(const MapCase& c, const Shape& shape, const Tensor& values)
    : map_{nullptr,
           c.type,
           int(shape[0]),
           int(shape[2]),
           int(shape[3]),
           int(shape[1]),
           int(shape[1]) + c.before + c.after},
      before_(c.before),
      bytes_(stored(values)) {
  map_.data = bytes_.get() + before_ * bytes_of(c.type);
}

std::vector<uint8_t> TestMap::stored(const Tensor& values) const {
  std::vector<uint8_t> bytes(size_t(map_.pixels() * map_.pixel_stride * bytes_of(map_.type)), 0xff);
  for (int64_t i = 0; values.defined() && i < values.numel(); ++i)
    with_type(map_.type, [&](auto zero) {
      const auto value = decltype(zero)(float(values.data<double>()[i]));
      std::memcpy(bytes.data() + place(i), &value, sizeof(value));
    });
  return bytes;
}

size_t TestMap::place(int64_t i) const {
  const int64_t plane = int64_t{map_.h} * map_.w, pixel = i / plane / map_.c * plane + i % plane;
  return size_t((pixel * map_.pixel_stride + before_ + i / plane % map_.c) * bytes_of(map_.type));
}

std::string TestMap::fault(const Tensor& want, double tolerance) const {
  const std::vector<uint8_t> bytes = bytes_.values();
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int channel = int(i / size_t(bytes_of(map_.type)) % size_t(map_.pixel_stride)) - before_;
    if ((channel < 0 || channel >= map_.c) && bytes[i] != 0xff)
      return fmt::format("byte {}, of channel {}, was written", i, channel);
  }
  if (want.shape() != Shape({map_.n, map_.c, map_.h, map_.w})) return "another shape";
  std::vector<double> got(size_t(want.numel()));
  for (size_t i = 0; i < got.size(); ++i)
    with_type(map_.type, [&](auto zero) {
      std::memcpy(static_cast<void*>(&zero), bytes.data() + place(int64_t(i)), sizeof(zero));
      got[i] = to_double(zero);
    });
  const double* b = want.data<double>();
  if (tolerance > 0) {
    const double distance = relative_l2(got, {b, b + got.size()});
    return distance <= tolerance ? "" : fmt::format("relative distance {}", distance);
  }
  for (size_t i = 0; i < got.size(); ++i)
    if (got[i] != b[i] && !(std::isnan(got[i]) && std::isnan(b[i])))
      return fmt::format("element {}: {}, expected {}", i, got[i], b[i]);
  return "";
}

Tensor map_values(KernelType type, const Shape& shape, uint64_t seed) {
  return Tensor::from(random_values(size_t(shape.numel()), seed, type == KernelType::kS8), shape);
}

double map_tolerance(KernelType type) {
  return type == KernelType::kF32 ? 1e-6 : type == KernelType::kF16 ? 5e-4 : 4e-3;
}

namespace {

// Moves: exact, of every type.
std::string moves_fault(const MapCase& c) {
  const Tensor x = map_values(c.type, c.shape, 1);
  const TestMap from(c, x), copy(c, c.shape), filled(c, c.shape);
  TESTED(copy_map)({}, from.map(), copy.map());
  if (std::string f = copy.fault(x, 0); !f.empty()) return "copy_map: " + f;
  TESTED(fill)({}, filled.map(), -3);
  if (std::string f = filled.fault(mapped(x, [](double) { return -3.0; }), 0); !f.empty())
    return "fill: " + f;
  for (const int scale : {2, 3}) {
    Tensor want = zeros({c.shape[0], c.shape[1], c.shape[2] * scale, c.shape[3] * scale});
    ops::upsample_reference_cpu(context(), x, {scale}, want);
    const TestMap y(c, want.shape());
    TESTED(upsample)({}, from.map(), scale, y.map());
    if (std::string f = y.fault(want, 0); !f.empty()) return "upsample: " + f;
  }
  Tensor deep = zeros(ops::space_to_depth_shape(c.shape));
  ops::space_to_depth_cpu(context(), x, deep);
  const TestMap y(c, deep.shape());
  TESTED(space_to_depth)({}, from.map(), y.map());
  if (std::string f = y.fault(deep, 0); !f.empty()) return "space_to_depth: " + f;
  for (const KernelType type : {KernelType::kF32, KernelType::kF16, KernelType::kBF16}) {
    if (c.type == KernelType::kS8 || type == c.type) continue;
    MapCase other = c;
    other.type = type;
    const TestMap to(other, c.shape);
    TESTED(copy_map)({}, from.map(), to.map());
    if (std::string f = to.fault(x, 0); !f.empty()) return fmt::format("copy_map to {}: {}", int(type), f);
  }
  return "";
}

using ops::ActivationKind;
const std::pair<KernelActivation, ActivationKind> kActivations[] = {
    {KernelActivation::kNone, ActivationKind::kIdentity},
    {KernelActivation::kSilu, ActivationKind::kSilu},
    {KernelActivation::kLeakyRelu, ActivationKind::kLeakyRelu},
    {KernelActivation::kSigmoid, ActivationKind::kSigmoid},
    {KernelActivation::kRelu, ActivationKind::kRelu}};

std::string activations_fault(const MapCase& c) {
  const Tensor x = mapped(map_values(c.type, c.shape, 2), [](double v) { return 8 * v; });
  for (const auto& [kind, reference] : kActivations) {
    const TestMap y(c, x);
    TESTED(activate)({}, kind, y.map(), y.map());
    const Tensor want = mapped(x, [&, k = reference](double v) { return ops::activation_reference({k}, v); });
    if (std::string f = y.fault(want, map_tolerance(c.type)); !f.empty())
      return fmt::format("activate {}: {}", int(kind), f);
  }
  return "";
}

}  // namespace

std::string map_ops_fault(const MapCase& c) {
  if (std::string f = moves_fault(c); !f.empty() || c.type == KernelType::kS8) return f;
  if (std::string f = activations_fault(c); !f.empty()) return f;
  const double tolerance = map_tolerance(c.type);
  const Tensor a = map_values(c.type, c.shape, 3), b = map_values(c.type, c.shape, 4);
  const TestMap x(c, a), sum(c, b);
  Tensor want = zeros(c.shape);
  ops::add_cpu(context(), a, b, want);
  TESTED(add)({}, x.map(), sum.map(), sum.map());
  if (std::string f = sum.fault(want, tolerance); !f.empty()) return "add: " + f;

  const Tensor scale = map_values(c.type, {1, c.shape[1], 1, 1}, 5),
               shift = map_values(c.type, scale.shape(), 6);
  const SimtBuffer<float> device_scale = device_floats(scale), device_shift = device_floats(shift);
  const TestMap moved(c, c.shape), scaled(c, c.shape);
  ops::scale_shift_cpu(context(), a, shift, {ops::ImplicitKind::kAdd}, want);
  TESTED(scale_shift)({}, x.map(), nullptr, device_shift.get(), moved.map());
  if (std::string f = moved.fault(want, tolerance); !f.empty()) return "shift: " + f;
  ops::scale_shift_cpu(context(), a, scale, {ops::ImplicitKind::kMul}, want);
  TESTED(scale_shift)({}, x.map(), device_scale.get(), nullptr, scaled.map());
  if (std::string f = scaled.fault(want, tolerance); !f.empty()) return "scale: " + f;

  const std::vector<Tensor> inputs{a, b, a};
  const TestMap other(c, b), stitched(c, c.shape);
  const std::vector<KernelMap> maps{x.map(), other.map(), x.map()};
  const Tensor weight = map_values(c.type, {3, c.shape[1]}, 7);
  const SimtBuffer<float> device_weight = device_floats(weight);
  ops::cross_stitch_cpu(context(), inputs, weight, want);
  TESTED(cross_stitch)({}, maps, device_weight.get(), stitched.map());
  if (std::string f = stitched.fault(want, tolerance); !f.empty()) return "cross_stitch: " + f;
  return "";
}

namespace {

// backward(accumulate, gx) on the device beside reference(mode, gx).
template <class Backward, class Reference>
std::string grad_fault(const char* name, const MapCase& c, Backward backward, Reference reference) {
  const Tensor before = map_values(c.type, c.shape, 10);
  for (const bool accumulate : {false, true}) {
    const TestMap gx = accumulate ? TestMap(c, before) : TestMap(c, c.shape);
    Tensor want = accumulate ? before.clone() : zeros(c.shape);
    reference(accumulate ? ops::GradMode::kAccumulate : ops::GradMode::kOverwrite, want);
    backward(accumulate, gx.map());
    if (std::string f = gx.fault(want, map_tolerance(c.type)); !f.empty())
      return fmt::format("{}: {}", name, f);
  }
  return "";
}

std::string scale_shift_grad_fault(const MapCase& c, const Tensor& a, const Tensor& g) {
  const MapCase plain{KernelType::kF32, {1, c.shape[1], 1, 1}};
  const Tensor scale = map_values(c.type, plain.shape, 5);
  const TestMap x(c, a), gy(c, g), device_scale(plain, scale), g_scale(plain, scale), g_shift(plain, scale);
  const SimtBuffer<uint8_t> workspace(scale_shift_grad_workspace(int(c.shape[1])));
  Tensor want_scale = scale.clone(), want_shift = scale.clone(), none;
  const auto floats = [](const TestMap& t) { return static_cast<float*>(t.map().data); };
  const std::string found = grad_fault(
      "scale_shift_grad", c,
      [&](bool add, const KernelMap& gx) {
        TESTED(scale_shift_grad)
        ({}, x.map(), floats(device_scale), gy.map(), add, gx, floats(g_scale), nullptr, workspace.get());
        TESTED(scale_shift_grad)
        ({}, {}, nullptr, gy.map(), add, {}, nullptr, floats(g_shift), workspace.get());
      },
      [&](ops::GradMode mode, Tensor& gx) {
        ops::scale_shift_grad_cpu(context(), a, scale, g, {ops::ImplicitKind::kMul}, mode, gx, want_scale);
        ops::scale_shift_grad_cpu(context(), a, scale, g, {ops::ImplicitKind::kAdd}, mode, none, want_shift);
      });
  if (!found.empty()) return found;
  if (std::string f = g_scale.fault(want_scale, 1e-5); !f.empty()) return "g_scale: " + f;
  if (std::string f = g_shift.fault(want_shift, 1e-5); !f.empty()) return "g_shift: " + f;
  return "";
}

}  // namespace

std::string map_grad_fault(const MapCase& c) {
  const Shape& s = c.shape;
  const Tensor a = map_values(c.type, s, 3), same = map_values(c.type, s, 11),
               large = map_values(c.type, {s[0], s[1], 3 * s[2], 3 * s[3]}, 12),
               deep = map_values(c.type, ops::space_to_depth_shape(s), 13);
  const TestMap x(c, a), gy(c, same), gy_large(c, large), gy_deep(c, deep);
  std::string found = scale_shift_grad_fault(c, a, same);
  for (const auto& [kind, reference_kind] : kActivations)
    if (found.empty())
      found = grad_fault(
          "activate_grad", c,
          [&, k = kind](bool add, const KernelMap& gx) {
            TESTED(activate_grad)({}, k, x.map(), gy.map(), add, gx);
          },
          [&, k = reference_kind](ops::GradMode mode, Tensor& gx) {
            ops::activation_grad_reference_cpu(context(), a, same, {k}, mode, gx);
          });
  if (found.empty())
    found = grad_fault(
        "upsample_grad", c,
        [&](bool add, const KernelMap& gx) {
          TESTED(upsample_grad)
          ({}, gy_large.map(), 3, add, gx);
        },
        [&](ops::GradMode mode, Tensor& gx) {
          ops::upsample_grad_reference_cpu(context(), large, {3}, mode, gx);
        });
  if (found.empty())
    found = grad_fault(
        "space_to_depth_grad", c,
        [&](bool add, const KernelMap& gx) {
          TESTED(space_to_depth_grad)
          ({}, gy_deep.map(), add, gx);
        },
        [&](ops::GradMode mode, Tensor& gx) { ops::space_to_depth_grad_cpu(context(), deep, mode, gx); });
  return found;
}

std::string pool_fault(const PoolCase& p, bool special) {
  const MapCase& c = p.map;
  const ops::MaxPool2d params{p.k, p.stride, p.pad};
  constexpr double kInf = std::numeric_limits<double>::infinity();
  Tensor x = mapped(map_values(c.type, c.shape, 8),
                    [&](double v) { return std::nearbyint(c.type == KernelType::kS8 ? v / 32 : v * 3); });
  for (int64_t i = 0; special && i < x.numel(); ++i) {  // nothing but -inf, then a NaN here and there
    double& v = x.data<double>()[i];
    v = i < x.numel() / c.shape[0] ? -kInf : i % 37 == 0 ? NAN : v;
  }
  Tensor want = zeros(ops::max_pool2d_shape(c.shape, params));
  ops::max_pool2d_reference_cpu(context(), x, params, want);
  const TestMap from(c, x), plain(c, want.shape()), indexed(c, want.shape());
  TESTED(max_pool)({}, from.map(), p.k, p.stride, p.pad, plain.map());
  if (std::string f = plain.fault(want, 0); !f.empty()) return "max_pool: " + f;
  if (c.type == KernelType::kS8) return "";
  const SimtBuffer<uint8_t> argmax{size_t(want.numel())};
  TESTED(max_pool)({}, from.map(), p.k, p.stride, p.pad, indexed.map(), argmax.get());
  if (std::string f = indexed.fault(want, 0); !f.empty()) return "max_pool with argmax: " + f;

  const Tensor upstream = map_values(c.type, want.shape(), 9);
  const TestMap gy(c, upstream);
  return grad_fault(
      "max_pool_grad", c,
      [&](bool add, const KernelMap& gx) {
        TESTED(max_pool_grad)({}, gy.map(), argmax.get(), p.k, p.stride, p.pad, add, gx);
      },
      [&](ops::GradMode mode, Tensor& gx) {
        ops::max_pool2d_grad_reference_cpu(context(), x, upstream, params, mode, gx);
      });
}

std::string image_fault(KernelType type) {
  const MapCase c{type, {}, 0, type == KernelType::kS8 ? 12 : 0};
  const float out_scale = type == KernelType::kS8 ? 100 : 1;
  const auto stored = [&](float v) {
    return with_type(type, [&](auto zero) {
      if constexpr (std::is_same_v<decltype(zero), int8_t>) return double(std::nearbyint(v * out_scale));
      else return to_double(decltype(zero)(v));
    });
  };
  // Smaller, larger, half, the same, thin.
  const std::pair<int, int> sizes[] = {{61, 37}, {20, 9}, {64, 50}, {32, 20}, {1, 33}};
  Tensor want = zeros({5, 4, 25, 32}), batch = Tensor::zeros({5, 3, 25, 32});
  std::vector<LetterboxImage> pictures;
  std::vector<std::unique_ptr<SimtBuffer<uint8_t>>> pixels;
  for (const auto& [w, h] : sizes) {
    data::Image image(w, h);
    RandomStream random(uint64_t(w), 1, 0);
    for (uint8_t& v : image.pixels) v = uint8_t(random.below(256));
    data::Letterbox done;
    data::image_to_tensor(data::letterbox(image, {.width = 32, .height = 25, .auto_pad = false}, done), batch,
                          int64_t(pictures.size()));
    pixels.push_back(std::make_unique<SimtBuffer<uint8_t>>(image.pixels));
    pictures.push_back({pixels.back()->get(), w, h, std::max(1, int(std::nearbyint(w * done.scale))),
                        std::max(1, int(std::nearbyint(h * done.scale_y))), done.left, done.top});
  }
  for (int64_t i = 0; i < batch.numel(); ++i)
    want.data<double>()[i / 2400 * 3200 + i % 2400] = stored(batch.data<float>()[i]);
  const TestMap y(c, want.shape()), from_bytes(c, want.shape()), from_floats(c, want.shape());
  TESTED(letterbox)({}, pictures, y.map(), out_scale);
  if (std::string f = y.fault(want, 0); !f.empty()) return "letterbox: " + f;
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < batch.numel(); ++i) bytes.push_back(uint8_t(batch.data<float>()[i] * 255 + 0.5f));
  const SimtBuffer<uint8_t> device_bytes(bytes);
  TESTED(normalise)({}, device_bytes.get(), KernelType::kU8, from_bytes.map(), out_scale);
  if (std::string f = from_bytes.fault(want, 0); !f.empty()) return "normalise: " + f;
  const SimtBuffer<float> floats({batch.data<float>(), batch.data<float>() + batch.numel()});
  TESTED(normalise)({}, floats.get(), KernelType::kF32, from_floats.map(), out_scale);
  if (std::string f = from_floats.fault(want, 0); !f.empty()) return "normalise of floats: " + f;
  return "";
}

}  // namespace mtyolo::test

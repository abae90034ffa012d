#include "tests/support/reference_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/dtype.h"
#include "core/tensor.h"
#include "cuda/simt/stream.h"
#include "data/image.h"
#include "ops/nms.h"

namespace mtyolo::test {
namespace {

float* f32_at(const KernelMap& m, int64_t i) { return static_cast<float*>(m.data) + i; }
uint16_t* f16_at(const KernelMap& m, int64_t i) { return static_cast<uint16_t*>(m.data) + i; }

int64_t index_of(const KernelMap& m, int n, int y, int x, int c) {
  return ((int64_t{n} * m.h + y) * m.w + x) * m.pixel_stride + c;
}

float get(const KernelMap& m, int n, int y, int x, int c) {
  const int64_t i = index_of(m, n, y, x, c);
  if (m.type == KernelType::kF32) return *f32_at(m, i);
  if (m.type == KernelType::kF16) return float(std::bit_cast<Half>(*f16_at(m, i)));
  return float(std::bit_cast<BFloat16>(*f16_at(m, i)));
}

void set(const KernelMap& m, int n, int y, int x, int c, float value) {
  const int64_t i = index_of(m, n, y, x, c);
  if (m.type == KernelType::kF32) *f32_at(m, i) = value;
  else if (m.type == KernelType::kF16) *f16_at(m, i) = Half(value).bits;
  else *f16_at(m, i) = BFloat16(value).bits;
}

template <class F>
void each(const KernelMap& m, F&& f) {
  for (int n = 0; n < m.n; ++n)
    for (int y = 0; y < m.h; ++y)
      for (int x = 0; x < m.w; ++x)
        for (int c = 0; c < m.c; ++c) f(n, y, x, c);
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

float activated(KernelActivation act, float x) {
  switch (act) {
    case KernelActivation::kSilu:
      return x * sigmoid(x);
    case KernelActivation::kLeakyRelu:
      return x > 0 ? x : 0.1f * x;
    case KernelActivation::kSigmoid:
      return sigmoid(x);
    case KernelActivation::kRelu:
      return std::max(x, 0.0f);
    default:
      return x;
  }
}

float tf32(float x) { return std::bit_cast<float>((std::bit_cast<uint32_t>(x) + 0x1000u) & ~0x1fffu); }

float weight_at(const ConvArgs& a, int64_t i) {
  if (a.math == KernelMath::kF32) return static_cast<const float*>(a.weight)[i];
  if (a.math == KernelMath::kTF32) return tf32(static_cast<const float*>(a.weight)[i]);
  const uint16_t bits = static_cast<const uint16_t*>(a.weight)[i];
  return a.math == KernelMath::kF16 ? float(std::bit_cast<Half>(bits)) : float(std::bit_cast<BFloat16>(bits));
}

// A value by definition, and by how much roundings of f32 may move it; 0: there is none, or one.
struct Defined {
  Defined(float v, double by = 0) : value(v), slack(by) {}  // NOLINT: values are mostly exact
  float value;
  double slack;
};

// Where values by definition go: to memory, or (with `fault`) beside what a kernel has left there.
struct Sink {
  std::string* fault = nullptr;
  void put(const KernelMap& m, int n, int y, int x, int c, const Defined& want) const {
    if (fault == nullptr) return set(m, n, y, x, c, want.value);
    const float got = get(m, n, y, x, c);
    const double half_unit = m.type == KernelType::kF32   ? 0x1p-24
                             : m.type == KernelType::kF16 ? 0x1p-11
                                                          : 0x1p-8;
    const double most = half_unit * std::abs(double(want.value)) + (1 + half_unit) * want.slack +
                        (m.type == KernelType::kF16 ? 0x1p-25 : 0);  // of values below the normal ones
    if (std::abs(double(got) - double(want.value)) <= most || !fault->empty()) return;
    *fault = fmt::format("a kernel stored {} in a map of {}x{}x{}, by definition it is {} within {}", got,
                         m.c, m.h, m.w, want.value, most);
  }
};

// A sum of products, and that of their absolute values.
struct Product {
  double sum = 0, absolute = 0;
};

Product product(const ConvArgs& a, int n, int p, int q, int k) {
  const int channels = a.x.c / a.groups, first = k / (a.y.c / a.groups) * channels;
  Product all;
  for (int r = 0; r < a.kernel; ++r)
    for (int s = 0; s < a.kernel; ++s) {
      const int y = p * a.stride - a.pad + r, x = q * a.stride - a.pad + s;
      if (y < 0 || x < 0 || y >= a.x.h || x >= a.x.w) continue;
      const int64_t row = int64_t{k} * a.weight_stride + (r * a.kernel + s) * channels;
      for (int c = 0; c < channels; ++c) {
        const float value = get(a.x, n, y, x, first + c);
        const double term =
            double(a.math == KernelMath::kTF32 ? tf32(value) : value) * double(weight_at(a, row + c));
        all.sum += term, all.absolute += std::abs(term);
      }
    }
  return all;
}

void convolve(const ConvArgs& a, const Sink& sink) {
  const int terms = a.kernel * a.kernel * a.x.c / a.groups;
  each(a.y, [&](int n, int p, int q, int k) {
    const Product all = product(a, n, p, q, k);
    const float bias = a.epilogue.bias[k], residual = a.residual ? get(a.residual, n, p, q, k) : 0;
    // No activation is steeper than 1.1.
    const double slack =
        1.1 * (terms + 16) * 0x1p-24 * (all.absolute + std::abs(double(bias)) + std::abs(double(residual)));
    const Defined v(activated(a.epilogue.activation, float(all.sum + double(bias))) + residual, slack);
    sink.put(a.y, n, p, q, k, v);
    if (!a.second) return;
    const int times = a.upsample_second ? 2 : 1;
    for (int i = 0; i < times * times; ++i)
      sink.put(a.second, n, p * times + i / times, q * times + i % times, k, v);
  });
}

// Less than 64 roundings of f32, of numbers that do not exceed the result and two strides.
void decode_head(const DecodeHead& head, int images, float* to, const Sink& sink = {}) {
  const int columns = 5 + head.classes;
  for (int n = 0; n < images; ++n)
    for (int l = 0; l < head.level_count; ++l) {
      const DecodeLevel& level = head.levels[l];
      for (int a = 0; a < level.anchor_count; ++a)
        for (int y = 0; y < level.raw.h; ++y)
          for (int x = 0; x < level.raw.w; ++x, to += columns) {
            const KernelMap row{to, KernelType::kF32, 1, 1, 1, columns, columns};
            for (int c = 0; c < columns; ++c) {
              float v = sigmoid(get(level.raw, n, y, x, a * columns + c));
              if (c < 2) v = (2 * v - 0.5f + float(c == 0 ? x : y)) * level.stride;
              else if (c < 4) v = 4 * v * v * level.anchors[2 * a + c - 2];
              sink.put(row, 0, 0, 0, c,
                       {v, 64 * 0x1p-24 * double(std::abs(v) + (c < 2 ? 2 * level.stride : 0))});
            }
          }
    }
}

void letterbox_one(const LetterboxImage& picture, const KernelMap& y, int n, const Sink& sink) {
  data::Image image(picture.w, picture.h);
  std::copy_n(picture.pixels, image.pixels.size(), image.pixels.data());
  image = data::resize_linear(image, picture.new_w, picture.new_h);
  for (int i = 0; i < y.h; ++i)
    for (int j = 0; j < y.w; ++j)
      for (int c = 0; c < 4; ++c) {
        const int row = i - picture.top, column = j - picture.left;
        const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
        const int v = c == 3 ? 0 : inside ? image.row(row)[column * 3 + c] : 114;
        sink.put(y, n, i, j, c, float(v) / 255.0f);
      }
}

// As Detector::suppress does it.
void suppress(const NmsArgs& args, const std::vector<DecodeHead>& heads) {
  for (int n = 0; n < args.images; ++n) {
    std::vector<ops::Detection> all;
    ops::NmsParams p;
    p.iou_thres = args.iou_thres, p.multi_label = args.multi_label, p.agnostic = args.agnostic;
    p.max_det = args.max_det, p.max_nms = args.max_nms;
    for (int id = 0; id < args.class_limit; ++id)
      if (args.wanted_classes != nullptr && args.wanted_classes[id] != 0) p.classes.push_back(id);
    for (size_t h = 0; h < heads.size(); ++h) {
      int64_t rows = 0;
      for (int l = 0; l < heads[h].level_count; ++l)
        rows +=
            int64_t{heads[h].levels[l].raw.h} * heads[h].levels[l].raw.w * heads[h].levels[l].anchor_count;
      const Tensor predictions = Tensor::empty({args.images, rows, 5 + heads[h].classes});
      decode_head(heads[h], args.images, predictions.data<float>());
      p.conf_thres = heads[h].conf_thres;
      p.one_class_score_is_objectness = heads[h].score_is_objectness;
      const Tensor one = predictions.slice(0, n, n + 1).reshape({rows, 5 + heads[h].classes});
      ops::nms_candidates(one, p, {heads[h].class_ids, size_t(heads[h].classes)}, int(h), all);
    }
    args.overflow[n] = int(all.size()) > args.capacity ? int(all.size()) : 0;
    const auto kept = args.overflow[n] != 0 ? std::vector<ops::Detection>{} : ops::nms_select(all, p);
    args.counts[n] = int(kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      const ops::Detection& d = kept[i];
      args.detections[n * args.max_det + int(i)] = {d.x1, d.y1, d.x2, d.y2, d.confidence, d.class_id, d.head};
    }
  }
}

// With kernels of another device these run, and are compared.
class ReferenceKernels : public DeviceKernels {
 public:
  ReferenceKernels() = default;
  ReferenceKernels(std::shared_ptr<const DeviceKernels> real, std::shared_ptr<std::string> fault)
      : real_(std::move(real)), fault_(std::move(fault)) {}
  std::string prefix() const override { return real_ ? real_->prefix() : "reference"; }
  std::vector<ConvConfig> conv_configs(const ConvArgs& args, int multiprocessors,
                                       size_t shared_bytes) const override {
    if (real_) return real_->conv_configs(args, multiprocessors, shared_bytes);
    return conv_refuses(args) == nullptr ? std::vector<ConvConfig>(1) : std::vector<ConvConfig>{};
  }
  const char* conv_refuses(const ConvArgs& a) const override {
    if (real_) return real_->conv_refuses(a);
    const int64_t item = bytes_of(type_of(a.math));
    const bool stem = a.x.c == 4 && a.x.pixel_stride == 4;
    if (a.groups == 1 && !stem && (a.x.c * item % 16 != 0 || a.x.pixel_stride * item % 16 != 0))
      return "channels that are no multiple of 16 bytes";
    if (reinterpret_cast<uintptr_t>(a.x.data) % (stem ? 8 : 16) != 0)
      return "a map that begins between 16 bytes";
    return a.weight_stride * item % 16 != 0 ? "rows of weights that are no multiple of 16 bytes" : nullptr;
  }
  size_t conv_workspace(const ConvArgs& args) const override {
    return real_ ? real_->conv_workspace(args) : 64;
  }
  void conv(KernelStream s, const ConvArgs& args) const override {
    run(&DeviceKernels::conv, s, args);
    queue(s, [args, sink = sink()] { convolve(args, sink); });
  }
  void conv_hopper(KernelStream s, const ConvArgs& args, int multiprocessors) const override {
    run(&DeviceKernels::conv_hopper, s, args, multiprocessors);
    queue(s, [args, sink = sink()] { convolve(args, sink); });
  }
  void activate(KernelStream s, KernelActivation act, const Map& x, const Map& y) const override {
    run(&DeviceKernels::activate, s, act, x, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      const float v = get(x, n, i, j, c);
      return Defined(activated(act, v), 16 * 0x1p-24 * double(std::abs(v)));
    });
  }
  void add(KernelStream s, const Map& a, const Map& b, const Map& y) const override {
    run(&DeviceKernels::add, s, a, b, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) { return get(a, n, i, j, c) + get(b, n, i, j, c); });
  }
  void copy_map(KernelStream s, const Map& x, const Map& y) const override {
    run(&DeviceKernels::copy_map, s, x, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) { return get(x, n, i, j, c); });
  }
  void upsample(KernelStream s, const Map& x, int scale, const Map& y) const override {
    run(&DeviceKernels::upsample, s, x, scale, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) { return get(x, n, i / scale, j / scale, c); });
  }
  void max_pool(KernelStream s, const Map& x, int k, int stride, int pad, const Map& y) const override {
    run(&DeviceKernels::max_pool, s, x, k, stride, pad, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      float most = -std::numeric_limits<float>::infinity();
      for (int r = std::max(i * stride - pad, 0); r < std::min(i * stride - pad + k, x.h); ++r)
        for (int q = std::max(j * stride - pad, 0); q < std::min(j * stride - pad + k, x.w); ++q)
          most = std::max(most, get(x, n, r, q, c));
      return most;
    });
  }
  void space_to_depth(KernelStream s, const Map& x, const Map& y) const override {
    run(&DeviceKernels::space_to_depth, s, x, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      const int part = c / x.c;
      return get(x, n, 2 * i + part % 2, 2 * j + part / 2, c % x.c);
    });
  }
  void cross_stitch(KernelStream s, std::span<const Map> x, const float* weight,
                    const Map& y) const override {
    run(&DeviceKernels::cross_stitch, s, x, weight, y);
    point_by_point(s, y, [weight, y, all = std::vector<Map>(x.begin(), x.end())](int n, int i, int j, int c) {
      double sum = 0, absolute = 0;
      for (size_t k = 0; k < all.size(); ++k) {
        const double term = double(weight[int(k) * y.c + c]) * double(get(all[k], n, i, j, c));
        sum += term, absolute += std::abs(term);
      }
      return Defined(float(sum), double(all.size() + 1) * 0x1p-24 * absolute);
    });
  }
  void normalise(KernelStream s, const void* images, KernelType type, const Map& y) const override {
    run(&DeviceKernels::normalise, s, images, type, y);
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      if (c == 3) return 0.0f;
      const int64_t at = ((int64_t{n} * 3 + c) * y.h + i) * y.w + j;
      return type == KernelType::kU8 ? float(static_cast<const uint8_t*>(images)[at]) / 255.0f
                                     : static_cast<const float*>(images)[at];
    });
  }
  void letterbox(KernelStream s, std::span<const LetterboxImage> images, const Map& y) const override {
    run(&DeviceKernels::letterbox, s, images, y);
    queue(s, [y, sink = sink(), all = std::vector<LetterboxImage>(images.begin(), images.end())] {
      for (int n = 0; n < y.n; ++n) letterbox_one(all[size_t(n)], y, n, sink);
    });
  }
  void decode(KernelStream s, const DecodeHead& head, int images, float* predictions) const override {
    run(&DeviceKernels::decode, s, head, images, predictions);
    queue(s, [=, sink = sink()] { decode_head(head, images, predictions, sink); });
  }
  size_t nms_workspace(const NmsArgs& args) const override { return real_ ? real_->nms_workspace(args) : 64; }
  void nms(KernelStream s, const NmsArgs& args) const override {
    if (real_) return real_->nms(s, args);
    queue(s, [args, heads = std::vector<DecodeHead>(args.heads.begin(), args.heads.end())] {
      suppress(args, heads);
    });
  }

 private:
  Sink sink() const { return {fault_.get()}; }
  template <class Kernel, class... Args>
  void run(Kernel kernel, KernelStream s, const Args&... args) const {
    if (real_) (real_.get()->*kernel)(s, args...);
  }
  static void queue(KernelStream s, std::function<void()> work) {
    emulator::stream_of(s).enqueue(std::move(work));
  }
  template <class F>
  void point_by_point(KernelStream s, const Map& y, F f) const {
    queue(s, [y, f, sink = sink()] {
      each(y, [&](int n, int i, int j, int c) { sink.put(y, n, i, j, c, f(n, i, j, c)); });
    });
  }

  std::shared_ptr<const DeviceKernels> real_;
  std::shared_ptr<std::string> fault_;
};

}  // namespace

std::shared_ptr<const DeviceKernels> reference_kernels() { return std::make_shared<ReferenceKernels>(); }

std::shared_ptr<const DeviceKernels> checked_kernels(std::shared_ptr<const DeviceKernels> real,
                                                     std::shared_ptr<std::string> fault) {
  return std::make_shared<ReferenceKernels>(std::move(real), std::move(fault));
}

}  // namespace mtyolo::test

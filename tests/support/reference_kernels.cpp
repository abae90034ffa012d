#include "tests/support/reference_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/dtype.h"
#include "core/tensor.h"
#include "cuda/simt/stream.h"
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

double product(const ConvArgs& a, int n, int p, int q, int k) {
  const int channels = a.x.c / a.groups, first = k / (a.y.c / a.groups) * channels;
  double sum = 0;
  for (int r = 0; r < a.kernel; ++r)
    for (int s = 0; s < a.kernel; ++s) {
      const int y = p * a.stride - a.pad + r, x = q * a.stride - a.pad + s;
      if (y < 0 || x < 0 || y >= a.x.h || x >= a.x.w) continue;
      const int64_t row = int64_t{k} * a.weight_stride + (r * a.kernel + s) * channels;
      for (int c = 0; c < channels; ++c) {
        const float value = get(a.x, n, y, x, first + c);
        sum += double(a.math == KernelMath::kTF32 ? tf32(value) : value) * double(weight_at(a, row + c));
      }
    }
  return sum;
}

void convolve(const ConvArgs& a) {
  each(a.y, [&](int n, int p, int q, int k) {
    float v = activated(a.epilogue.activation, float(product(a, n, p, q, k) + double(a.epilogue.bias[k])));
    if (a.residual) v += get(a.residual, n, p, q, k);
    set(a.y, n, p, q, k, v);
    if (!a.second) return;
    const int times = a.upsample_second ? 2 : 1;
    for (int i = 0; i < times * times; ++i)
      set(a.second, n, p * times + i / times, q * times + i % times, k, v);
  });
}

void decode_head(const DecodeHead& head, int images, float* to) {
  const int columns = 5 + head.classes;
  for (int n = 0; n < images; ++n)
    for (int l = 0; l < head.level_count; ++l) {
      const DecodeLevel& level = head.levels[l];
      for (int a = 0; a < level.anchor_count; ++a)
        for (int y = 0; y < level.raw.h; ++y)
          for (int x = 0; x < level.raw.w; ++x, to += columns) {
            for (int c = 0; c < columns; ++c) to[c] = sigmoid(get(level.raw, n, y, x, a * columns + c));
            to[0] = (2 * to[0] - 0.5f + float(x)) * level.stride;
            to[1] = (2 * to[1] - 0.5f + float(y)) * level.stride;
            for (int i = 2; i < 4; ++i) to[i] = 4 * to[i] * to[i] * level.anchors[2 * a + i - 2];
          }
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

class ReferenceKernels : public DeviceKernels {
 public:
  std::string prefix() const override { return "reference"; }
  std::vector<ConvConfig> conv_configs(const ConvArgs& args, int, size_t) const override {
    return conv_refuses(args) == nullptr ? std::vector<ConvConfig>(1) : std::vector<ConvConfig>{};
  }
  const char* conv_refuses(const ConvArgs& a) const override {
    const int64_t item = bytes_of(type_of(a.math));
    const bool stem = a.x.c == 4 && a.x.pixel_stride == 4;
    if (a.groups == 1 && !stem && (a.x.c * item % 16 != 0 || a.x.pixel_stride * item % 16 != 0))
      return "channels that are no multiple of 16 bytes";
    if (reinterpret_cast<uintptr_t>(a.x.data) % (stem ? 8 : 16) != 0)
      return "a map that begins between 16 bytes";
    return a.weight_stride * item % 16 != 0 ? "rows of weights that are no multiple of 16 bytes" : nullptr;
  }
  size_t conv_workspace(const ConvArgs&) const override { return 64; }
  void conv(KernelStream s, const ConvArgs& args) const override {
    queue(s, [args] { convolve(args); });
  }
  void conv_hopper(KernelStream s, const ConvArgs& args, int) const override { conv(s, args); }
  void activate(KernelStream s, KernelActivation act, const Map& x, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) { return activated(act, get(x, n, i, j, c)); });
  }
  void add(KernelStream s, const Map& a, const Map& b, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) { return get(a, n, i, j, c) + get(b, n, i, j, c); });
  }
  void copy_map(KernelStream s, const Map& x, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) { return get(x, n, i, j, c); });
  }
  void upsample(KernelStream s, const Map& x, int scale, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) { return get(x, n, i / scale, j / scale, c); });
  }
  void max_pool(KernelStream s, const Map& x, int k, int stride, int pad, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      float most = -std::numeric_limits<float>::infinity();
      for (int r = std::max(i * stride - pad, 0); r < std::min(i * stride - pad + k, x.h); ++r)
        for (int q = std::max(j * stride - pad, 0); q < std::min(j * stride - pad + k, x.w); ++q)
          most = std::max(most, get(x, n, r, q, c));
      return most;
    });
  }
  void space_to_depth(KernelStream s, const Map& x, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      const int part = c / x.c;
      return get(x, n, 2 * i + part % 2, 2 * j + part / 2, c % x.c);
    });
  }
  void cross_stitch(KernelStream s, std::span<const Map> x, const float* weight,
                    const Map& y) const override {
    point_by_point(s, y, [weight, y, all = std::vector<Map>(x.begin(), x.end())](int n, int i, int j, int c) {
      float sum = 0;
      for (size_t k = 0; k < all.size(); ++k) sum += weight[int(k) * y.c + c] * get(all[k], n, i, j, c);
      return sum;
    });
  }
  void normalise(KernelStream s, const void* images, KernelType type, const Map& y) const override {
    point_by_point(s, y, [=](int n, int i, int j, int c) {
      if (c == 3) return 0.0f;
      const int64_t at = ((int64_t{n} * 3 + c) * y.h + i) * y.w + j;
      return type == KernelType::kU8 ? float(static_cast<const uint8_t*>(images)[at]) / 255.0f
                                     : static_cast<const float*>(images)[at];
    });
  }
  void decode(KernelStream s, const DecodeHead& head, int images, float* predictions) const override {
    queue(s, [=] { decode_head(head, images, predictions); });
  }
  size_t nms_workspace(const NmsArgs&) const override { return 64; }
  void nms(KernelStream s, const NmsArgs& args) const override {
    queue(s, [args, heads = std::vector<DecodeHead>(args.heads.begin(), args.heads.end())] {
      suppress(args, heads);
    });
  }

 private:
  static void queue(KernelStream s, std::function<void()> work) {
    emulator::stream_of(s).enqueue(std::move(work));
  }
  template <class F>
  static void point_by_point(KernelStream s, const Map& y, F f) {
    queue(s, [y, f] { each(y, [&](int n, int i, int j, int c) { set(y, n, i, j, c, f(n, i, j, c)); }); });
  }
};

}  // namespace

std::shared_ptr<const DeviceKernels> reference_kernels() { return std::make_shared<ReferenceKernels>(); }

}  // namespace mtyolo::test

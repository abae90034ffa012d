#include "cuda/norm.h"

#include <cmath>
#include <initializer_list>

#include "cuda/columns.cuh"
#include "cuda/epilogue.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

constexpr int kBatch = 2;  // pixels of a thread on their way at once

struct Moments {
  double count, mean, m2;
};

MTYOLO_DEV Moments join(const Moments& a, const Moments& b) {
  if (b.count == 0) return a;
  const double count = a.count + b.count, d = b.mean - a.mean;
  return {count, a.mean + d * b.count / count,
          a.m2 + b.m2 + d * d * MTYOLO_MUTANT(154, a.count, 1) * b.count / count};
}

// Two passes over pixels in registers, less the tile's first pixel: a mean far from zero costs nothing.
template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kColumnThreads, 2)
    bn_moments_kernel(ColumnGrid g, ColumnMap<T> y, float* moments) {
  MTYOLO_SMEM(float, means, [64]);
  const ColumnThread<T> at(g);
  constexpr int kPack = at.kPack, kMost = kMomentTile / (kColumnThreads / 8);  // at most 8 columns
  const int64_t start = int64_t{block_index().x} * g.tile;
  const int t = int(thread_index().x), count = int(at.end - start);
  const Pack<T> pivot = at.load(y, start);
  float d[kMost][kPack], part[kPack] = {};
  MTYOLO_UNROLL
  for (int i = 0; i < kMost; ++i) {
    const int64_t pixel = at.first + i * at.step;
    const Pack<T> pack = at.load(y, pixel < at.end ? pixel : start);  // itself less itself counts nothing
    MTYOLO_UNROLL
    for (int e = 0; e < kPack; ++e) part[e] += d[i][e] = to_float(pack.values[e]) - to_float(pivot.values[e]);
  }
  const float mean = column_total(g, part) / float(count);
  if (t < g.columns * kPack) means[t] = mean;
  sync();
  MTYOLO_UNROLL
  for (int e = 0; e < kPack; ++e) {
    const float m = means[e / 4 * g.columns * 4 + t % g.columns * 4 + e % 4];
    part[e] = 0;
    MTYOLO_UNROLL
    for (int i = 0; i < kMost; ++i)
      if (at.first + i * at.step < at.end) part[e] += (d[i][e] - m) * (d[i][e] - m);
  }
  const float m2 = column_total(g, part);
  const int c = column_channel<kPack>(g);
  if (c < 0) return;
  float* out = moments + int64_t{block_index().x} * 3 * g.c + c;
  out[0] = float(count);
  out[g.c] = to_float(y.data[start * y.stride + c]) + mean;
  out[2 * int64_t{g.c}] = m2;
}

MTYOLO_KERNEL MTYOLO_BOUNDS(kMergeThreads, 1) bn_finalize_kernel(BnFinalizeArgs p) {
  Moments m{};
  if (p.moments != nullptr)
    m = merge_tiles<Moments>(
        p.tiles, p.c,
        [&](int tile, int channel) {
          const float* from = p.moments + int64_t{tile} * 3 * p.c + channel;
          return Moments{from[0], from[p.c], from[2 * int64_t{p.c}]};
        },
        join);
  const int c = merge_channel(p.c);
  if (c < 0) return;
  const NormChannels& n = p.norm;
  double mean = n.running_mean[c], var = n.running_var[c];
  if (p.moments != nullptr) {
    const double unbiased = m.m2 / MTYOLO_MUTANT(155, m.count > 1 ? m.count - 1 : 1, m.count);
    n.running_mean[c] = float((1 - p.momentum) * mean + p.momentum * m.mean);
    n.running_var[c] = float((1 - p.momentum) * var + p.momentum * unbiased);
    mean = m.mean;
    var = m.m2 / m.count;
  }
  const double inv_std = 1 / ::sqrt(var + p.eps), scale = n.weight[c] * inv_std;
  n.mean[c] = float(mean);
  n.inv_std[c] = float(inv_std);
  n.scale[c] = float(scale);
  if (n.shift != nullptr) n.shift[c] = float(n.bias[c] - mean * scale);
}

// u of one thread's channels. Less the mean first, as the CPU does: u is exact where y is near its mean.
template <class T>
struct Normed {
  static constexpr int kPack = Pack<T>::kSize;
  float mean[kPack], scale[kPack], bias[kPack];

  MTYOLO_DEV Normed(const ColumnThread<T>& at, const NormChannels& n) {
    at.load_parameters(mean, n.mean);
    at.load_parameters(scale, n.scale);
    at.load_parameters(bias, n.bias);
  }
  MTYOLO_DEV float centred(const Pack<T>& y, int e) const { return to_float(y.values[e]) - mean[e]; }
  MTYOLO_DEV float u(float centred, int e) const { return centred * scale[e] + bias[e]; }
};

// da/du.
template <KernelActivation kActivation>
MTYOLO_DEV float slope(float u) {
  if constexpr (kActivation == KernelActivation::kLeakyRelu) return u > 0 ? 1.0f : 0.1f;
  if constexpr (kActivation != KernelActivation::kSilu) return 1;
  const float s = sigmoid(u);
  return s * (1 + MTYOLO_MUTANT(156, u, -u) * (1 - s));
}

// Runs f(pixel, a pack of each map) for a thread's pixels, kBatch of them loaded at once.
template <class T, int kMaps, class F>
MTYOLO_DEV void for_pixels(const ColumnThread<T>& at, const ColumnMap<T> (&maps)[kMaps], F f) {
  for (int64_t first = at.first; first < at.end; first += kBatch * at.step) {
    Pack<T> packs[kBatch][kMaps];
    MTYOLO_UNROLL
    for (int i = 0; i < kBatch * kMaps; ++i)
      if (const int64_t pixel = first + i / kMaps * at.step; pixel < at.end)
        packs[i / kMaps][i % kMaps] = at.load(maps[i % kMaps], pixel);
    MTYOLO_UNROLL
    for (int b = 0; b < kBatch; ++b)
      if (first + b * at.step < at.end) f(first + b * at.step, packs[b]);
  }
}

template <class T, KernelActivation kActivation>
MTYOLO_KERNEL MTYOLO_BOUNDS(kColumnThreads, 2) bn_apply_kernel(ColumnGrid g, BnActArgs p) {
  const ColumnThread<T> at(g);
  const Normed<T> norm(at, p.norm);
  const ColumnMap<T> y[] = {ColumnMap<T>(p.y)}, a(p.a);
  for_pixels(at, y, [&](int64_t pixel, Pack<T>(&in)[1]) {
    MTYOLO_UNROLL
    for (int e = 0; e < at.kPack; ++e)
      in[0].values[e] = from_float<T>(activate(kActivation, norm.u(norm.centred(in[0], e), e)));
    at.store(a, pixel, in[0]);
  });
}

// Sums of gu and gu * (y - mean) of each tile.
template <class T, KernelActivation kActivation>
MTYOLO_KERNEL MTYOLO_BOUNDS(kColumnThreads, 2) bn_backward_reduce_kernel(ColumnGrid g, BnActArgs p) {
  const ColumnThread<T> at(g);
  const Normed<T> norm(at, p.norm);
  const ColumnMap<T> maps[] = {ColumnMap<T>(p.y), ColumnMap<T>(p.ga)};
  float sum[at.kPack] = {}, sum_y[at.kPack] = {};
  for_pixels(at, maps, [&](int64_t, Pack<T>(&in)[2]) {
    MTYOLO_UNROLL
    for (int e = 0; e < at.kPack; ++e) {
      const float centred = norm.centred(in[0], e);
      const float gu = to_float(in[1].values[e]) * slope<kActivation>(norm.u(centred, e));
      sum[e] += gu;
      sum_y[e] += gu * centred;
    }
  });
  const float total = column_total(g, sum), total_y = column_total(g, sum_y);
  const int c = column_channel<at.kPack>(g);
  if (c < 0) return;
  float* out = p.workspace + int64_t{block_index().x} * 2 * g.c + c;
  out[0] = total;
  out[g.c] = total_y;
}

MTYOLO_KERNEL MTYOLO_BOUNDS(kMergeThreads, 2) bn_backward_finalize_kernel(BnActArgs p, int tiles) {
  const float sum = merge_sums(p.workspace, tiles, 2, 0, p.y.c);
  const float sum_y = merge_sums(p.workspace, tiles, 2, 1, p.y.c);
  const int c = merge_channel(p.y.c);
  if (c < 0) return;
  const float sum_xhat = sum_y * p.norm.inv_std[c];
  p.sums[c] = sum;
  p.sums[p.y.c + c] = sum_xhat;
  if (p.grad_bias != nullptr) p.grad_bias[c] += sum;
  if (p.grad_weight != nullptr) p.grad_weight[c] += sum_xhat;
}

template <class T, KernelActivation kActivation>
MTYOLO_KERNEL MTYOLO_BOUNDS(kColumnThreads, 2) bn_backward_apply_kernel(ColumnGrid g, BnActArgs p) {
  const ColumnThread<T> at(g);
  const Normed<T> norm(at, p.norm);
  const ColumnMap<T> maps[] = {ColumnMap<T>(p.y), ColumnMap<T>(p.ga)}, gy(p.gy);
  float mean_gu[at.kPack] = {}, slant[at.kPack] = {};  // what the mean and the variance of y take from gu
  if (!p.frozen) {
    float inv_std[at.kPack];
    at.load_parameters(inv_std, p.norm.inv_std);
    at.load_parameters(mean_gu, p.sums);
    at.load_parameters(slant, p.sums + g.c);
    MTYOLO_UNROLL
    for (int e = 0; e < at.kPack; ++e) {
      mean_gu[e] /= float(g.pixels);
      slant[e] *= inv_std[e] / float(g.pixels);
    }
  }
  for_pixels(at, maps, [&](int64_t pixel, Pack<T>(&in)[2]) {
    MTYOLO_UNROLL
    for (int e = 0; e < at.kPack; ++e) {
      const float centred = norm.centred(in[0], e);
      const float gu = to_float(in[1].values[e]) * slope<kActivation>(norm.u(centred, e));
      in[1].values[e] = from_float<T>(norm.scale[e] * (gu - mean_gu[e] - centred * slant[e]));
    }
    at.store(gy, pixel, in[1]);
  });
}

// Calls f<T, activation>().
template <class F>
void with_kinds(const BnActArgs& args, F f) {
  using enum KernelActivation;
  with_map_type(args.y.type, "batch norm: maps must be f32, f16 or bf16", [&]<class T>(T) {
    if (args.activation == kNone) return f.template operator()<T, kNone>();
    if (args.activation == kSilu) return f.template operator()<T, kSilu>();
    check_argument(args.activation == kLeakyRelu,
                   "batch norm: the activation must be none, SiLU or leaky ReLU");
    f.template operator()<T, kLeakyRelu>();
  });
}

void check_map(const KernelMap& m, const KernelMap& y) {
  check_argument(m && m.pixels() > 0 && m.c > 0 && m.pixel_stride >= m.c,
                 "batch norm: a map without pixels or channels, or with pixels that overlap");
  check_argument(m.type == y.type && m.n == y.n && m.h == y.h && m.w == y.w && m.c == y.c,
                 "batch norm: maps of one call must have one type and shape");
}

void check_norm(const NormChannels& n) {
  check_argument(n.bias != nullptr && n.mean != nullptr && n.inv_std != nullptr && n.scale != nullptr,
                 "batch norm: bias, mean, inv_std or scale is null");
}

ColumnGrid checked(const BnActArgs& args, std::initializer_list<KernelMap> maps) {
  check_norm(args.norm);
  for (const KernelMap& m : maps) check_map(m, args.y);
  return column_grid(args.y);
}

}  // namespace

void bn_moments(KernelStream stream, const KernelMap& y, float* moments) {
  check_map(y, y);
  const ColumnGrid g = column_grid(y, kMomentTile);
  with_map_type(y.type, "bn_moments: the map must be f32, f16 or bf16", [&]<class T>(T) {
    launch(bn_moments_kernel<T>, column_dims(g), stream, g, ColumnMap<T>(y), moments);
  });
}

void bn_finalize(KernelStream stream, const BnFinalizeArgs& args) {
  check_norm(args.norm);
  check_argument(
      args.norm.weight != nullptr && args.norm.running_mean != nullptr && args.norm.running_var != nullptr,
      "bn_finalize: weight or running statistics are null");
  check_argument(args.c > 0 && (args.moments == nullptr || args.tiles > 0),
                 "bn_finalize: channels and tiles must be positive");
  launch(bn_finalize_kernel, merge_dims(args.c), stream, args);
}

void bn_act_apply(KernelStream stream, const BnActArgs& args) {
  const ColumnGrid g = checked(args, {args.y, args.a});
  with_kinds(args, [&]<class T, KernelActivation kActivation>() {
    launch(bn_apply_kernel<T, kActivation>, column_dims(g), stream, g, args);
  });
}

void bn_act_backward_reduce(KernelStream stream, const BnActArgs& args) {
  const ColumnGrid g = checked(args, {args.y, args.ga});
  check_argument(args.sums != nullptr && args.workspace != nullptr,
                 "bn_act_backward_reduce: sums or workspace is null");
  with_kinds(args, [&]<class T, KernelActivation kActivation>() {
    launch(bn_backward_reduce_kernel<T, kActivation>, column_dims(g), stream, g, args);
  });
  launch(bn_backward_finalize_kernel, merge_dims(g.c), stream, args, g.tiles);
}

void bn_act_backward_apply(KernelStream stream, const BnActArgs& args) {
  const ColumnGrid g = checked(args, {args.y, args.ga, args.gy});
  check_argument(args.frozen || args.sums != nullptr, "bn_act_backward_apply: sums are null");
  with_kinds(args, [&]<class T, KernelActivation kActivation>() {
    launch(bn_backward_apply_kernel<T, kActivation>, column_dims(g), stream, g, args);
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

#include "cuda/map_grad.h"

#include <algorithm>

#include "cuda/device/block.cuh"
#include "cuda/pointwise.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

// dy/dx as in ops/activation.h: of leaky_relu and relu at 0 as left of it.
MTYOLO_DEV float slope(KernelActivation activation, float x) {
  if (activation == KernelActivation::kNone) return 1;
  if (activation == KernelActivation::kLeakyRelu) return x > 0 ? 1 : 0.1f;
  if (activation == KernelActivation::kRelu) return x > 0 ? 1 : 0;
  const float s = sigmoid(x);
  return s * (activation == KernelActivation::kSilu ? 1 + x * (1 - s) : 1 - s);
}

struct Activated {
  KernelActivation activation;
  MTYOLO_DEV float operator()(int, const float* v) const { return slope(activation, v[0]) * v[1]; }
};

template <class T>
struct Shrink {
  Slice<T> gy, gx;
  int scale;
  bool accumulate;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    const PixelPlace to = place(gx, pixel);
    float sums[kLanes] = {};
    for (int i = 0; i < scale; ++i)
      for (int j = 0; j < scale; ++j) {
        const int64_t from = pixel_at(gy, to.n, to.y * scale + i, to.x * scale + j);
        const Lanes<T, kLanes> g = load<kLanes>(gy.at(from, channel), count);
        MTYOLO_UNROLL
        for (int e = 0; e < kLanes; ++e) sums[e] += to_float(g.values[e]);
      }
    put_sums<kLanes>(gx.at(pixel, channel), sums, count, accumulate);
  }
};

template <class T>
struct FromDepth {
  Slice<T> gy, gx;
  bool accumulate;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    const PixelPlace to = place(gx, pixel);
    const int block = to.y % 2 + to.x % 2 * 2;
    const T* from = gy.at(pixel_at(gy, to.n, to.y / 2, to.x / 2), block * gx.c + channel);
    const Lanes<T, kLanes> g = load<kLanes>(from, count);
    float sums[kLanes];
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) sums[e] = to_float(g.values[e]);
    put_sums<kLanes>(gx.at(pixel, channel), sums, count, accumulate);
  }
};

// Sums over pixels in two steps: of kMostSlabs slabs at most, by blocks of kSumPacks packs of channels times
// kSumRows pixels, and of the slabs.
constexpr int kSumThreads = 256, kSumPacks = 8, kSumRows = kSumThreads / kSumPacks, kMostSlabs = 64;

template <class T, int kLanes>
MTYOLO_KERNEL MTYOLO_BOUNDS(kSumThreads, 4)
    channel_sums_kernel(Slice<T> x, Slice<T> gy, int64_t pixels, float* slabs) {
  constexpr int kWarps = kSumThreads / int(kWarp), kChannels = kSumPacks * kLanes;
  MTYOLO_SMEM(float, parts, [2 * kWarps * kChannels]);
  const int thread = int(thread_index().x), pack = thread % kSumPacks;
  const int first = int(block_index().x) * kChannels, channel = first + pack * kLanes;
  const int rest = gy.c - channel, count = rest < 0 ? 0 : rest < kLanes ? rest : kLanes;
  float sums[2][kLanes] = {};
  for (int64_t p = block_index().y * kSumRows + thread / kSumPacks; count > 0 && p < pixels;
       p += grid_size().y * kSumRows) {
    const Lanes<T, kLanes> g = load<kLanes>(gy.at(p, channel), count);
    Lanes<T, kLanes> v{};
    if (x.data != nullptr) v = load<kLanes>(x.at(p, channel), count);
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) {
      sums[0][e] += to_float(g.values[e]) * to_float(v.values[e]);
      sums[1][e] += to_float(g.values[e]);
    }
  }
  MTYOLO_UNROLL
  for (int i = 0; i < 2 * kLanes; ++i) {
    float& sum = sums[i / kLanes][i % kLanes];
    MTYOLO_UNROLL
    for (uint32_t lanes = kSumPacks; lanes < kWarp; lanes *= 2) sum += shfl_xor(sum, lanes);
    if (lane_index() < uint32_t(kSumPacks))
      parts[(i / kLanes * kWarps + int(warp_index())) * kChannels + pack * kLanes + i % kLanes] = sum;
  }
  sync();
  for (int i = thread; i < 2 * kChannels; i += kSumThreads) {
    if (first + i % kChannels >= gy.c) continue;
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += parts[(i / kChannels * kWarps + w) * kChannels + i % kChannels];
    slabs[(block_index().y * 2 + uint32_t(i / kChannels)) * uint32_t(gy.c) +
          uint32_t(first + i % kChannels)] = sum;
  }
}

MTYOLO_KERNEL MTYOLO_BOUNDS(kSumThreads, 4)
    add_slabs_kernel(const float* slabs, int count, int channels, float* g_scale, float* g_shift) {
  const int c = int(block_index().x * kSumThreads + thread_index().x);
  if (c >= channels) return;
  float sums[2] = {};
  for (int i = 0; i < MTYOLO_MUTANT(149, 2 * count, 2); ++i) sums[i % 2] += slabs[int64_t{i} * channels + c];
  if (g_scale != nullptr) g_scale[c] += sums[0];
  if (g_shift != nullptr) g_shift[c] += sums[1];
}

}  // namespace

void activate_grad(KernelStream stream, KernelActivation activation, const KernelMap& x, const KernelMap& gy,
                   bool accumulate, const KernelMap& gx) {
  pointwise(stream, Activated{activation}, {x, gy}, gx, accumulate);
}

void upsample_grad(KernelStream stream, const KernelMap& gy, int scale, bool accumulate,
                   const KernelMap& gx) {
  check_map(gy), check_map(gx);
  check_argument(scale >= 1 && gx.type == gy.type && gy.n == gx.n && gy.h == int64_t{gx.h} * scale &&
                     gy.w == int64_t{gx.w} * scale && gy.c == gx.c,
                 "upsample_grad: gy must be gx, scaled, of one type");
  for_float(gx.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    for_each_pack<Pack<T>::kSize>(stream, aligned16(gx) && aligned16(gy), gx,
                                  Shrink<T>{slice<T>(gy), slice<T>(gx), scale, accumulate});
  });
}

void space_to_depth_grad(KernelStream stream, const KernelMap& gy, bool accumulate, const KernelMap& gx) {
  check_map(gy), check_map(gx);
  check_argument(
      gx.type == gy.type && gy.n == gx.n && gx.h == 2 * gy.h && gx.w == 2 * gy.w && gy.c == 4 * gx.c,
      "space_to_depth_grad: gy must have half of gx's sides, four times its channels and its type");
  for_float(gx.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    const bool packs = gx.c % Pack<T>::kSize == 0 && aligned16(gx) && aligned16(gy);
    for_each_pack<Pack<T>::kSize>(stream, packs, gx, FromDepth<T>{slice<T>(gy), slice<T>(gx), accumulate});
  });
}

void scale_shift_grad(KernelStream stream, const KernelMap& x, const float* scale, const KernelMap& gy,
                      bool accumulate, const KernelMap& gx, float* g_scale, float* g_shift, void* workspace) {
  check_map(gy);
  const bool sums = g_scale != nullptr || g_shift != nullptr, with_x = g_scale != nullptr;
  check_argument(!with_x || (x && same_shape(x, gy) && x.type == gy.type),
                 "scale_shift_grad: for g_scale an x of gy's shape and type is needed");
  check_argument(!sums || workspace != nullptr, "scale_shift_grad: sums need a workspace");
  for_float(gy.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    if (!sums) return;
    const bool aligned = aligned16(gy) && (!with_x || aligned16(x));
    const int channels = kSumPacks * (aligned ? Pack<T>::kSize : 1);
    const uint32_t slabs = uint32_t(std::min<int64_t>(kMostSlabs, (gy.pixels() + kSumRows - 1) / kSumRows));
    const LaunchDims dims{{uint32_t((gy.c + channels - 1) / channels), slabs}, {kSumThreads}};
    launch(aligned ? channel_sums_kernel<T, Pack<T>::kSize> : channel_sums_kernel<T, 1>, dims, stream,
           with_x ? slice<T>(x) : Slice<T>{}, slice<T>(gy), gy.pixels(), static_cast<float*>(workspace));
    launch(add_slabs_kernel, {{uint32_t(gy.c + kSumThreads - 1) / kSumThreads}, {kSumThreads}}, stream,
           static_cast<const float*>(workspace), int(slabs), gy.c, g_scale, g_shift);
  });
  if (gx) pointwise(stream, Scaled{scale, nullptr}, {gy}, gx, accumulate);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

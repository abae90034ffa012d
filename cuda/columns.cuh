// How kernels with a parameter or a sum per channel walk over a map: a block has one tile of ColumnGrid, a
// thread one pack of every so many pixels, with what it needs of its channels in registers. Sums are finished
// in a second launch, in the order of tiles. All of it depends on shapes alone.
#pragma once

#include "cuda/check.h"
#include "cuda/column_grid.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/launch.h"
#include "ops/device/types.h"

namespace mtyolo::MTYOLO_KERNEL_NS {

inline constexpr int kColumnThreads = 256;
inline constexpr int kMergeChannels = 32, kMergeWorkers = 16, kMergeThreads = kMergeChannels * kMergeWorkers;

inline LaunchDims column_dims(const ColumnGrid& g) {
  return {{uint32_t(g.tiles), uint32_t(g.groups)}, {kColumnThreads}};
}

// A map as kernels take it: 16 bytes at a time where its pixels are aligned for it.
template <class T>
struct ColumnMap {
  T* data;
  int64_t stride;
  bool aligned;
  MTYOLO_HOST_DEV explicit ColumnMap(const KernelMap& m)
      : data(static_cast<T*>(m.data)),
        stride(m.pixel_stride),
        aligned((m.pixel_stride * sizeof(T)) % 16 == 0 && reinterpret_cast<uintptr_t>(m.data) % 16 == 0) {}
};

template <class T>
struct ColumnThread {
  static constexpr int kPack = Pack<T>::kSize;
  int channel, count;  // count channels from this one on, 0: none
  int64_t first, end;  // pixels
  int step;

  MTYOLO_DEV explicit ColumnThread(const ColumnGrid& g) {
    const int t = int(thread_index().x), row = t / g.columns;
    step = kColumnThreads / g.columns;
    channel = (int(block_index().y) * g.columns + t % g.columns) * kPack;
    count = g.c - channel < kPack ? g.c - channel : kPack;
    if (count < 0 || row >= step) count = 0;
    first = int64_t{block_index().x} * g.tile;
    end = first + g.tile < g.pixels ? first + g.tile : MTYOLO_MUTANT(150, g.pixels, g.pixels - 1);
    first += count == 0 ? g.tile : row;
  }
  MTYOLO_DEV Pack<T> load(const ColumnMap<T>& m, int64_t pixel) const {
    const T* from = m.data + pixel * m.stride + channel;
    if (m.aligned && count == kPack) return ld128(from);
    Pack<T> pack;
    MTYOLO_UNROLL
    for (int e = 0; e < kPack; ++e) pack.values[e] = e < count ? from[e] : from_float<T>(0);
    return pack;
  }
  MTYOLO_DEV void store(const ColumnMap<T>& m, int64_t pixel, const Pack<T>& pack) const {
    T* to = m.data + pixel * m.stride + channel;
    if (m.aligned && MTYOLO_MUTANT(151, count == kPack, true)) return st128(to, pack);
    MTYOLO_UNROLL
    for (int e = 0; e < kPack; ++e)
      if (e < count) to[e] = pack.values[e];
  }
  MTYOLO_DEV void load_parameters(float (&out)[kPack], const float* of_channel) const {
    const float* from = of_channel + channel;
    const bool aligned = count == kPack && reinterpret_cast<uintptr_t>(from) % 16 == 0;
    MTYOLO_UNROLL
    for (int e = 0; e < kPack; e += 4) {
      Pack<float> four{};
      if (aligned) four = ld128(from + e);
      MTYOLO_UNROLL
      for (int i = 0; i < 4; ++i) out[e + i] = aligned ? four.values[i] : e + i < count ? from[e + i] : 0;
    }
  }
};

// The sums of `part` over a block's pixels, in the order of threads: thread t gets that of channel
// column_channel(t), if it is one. Halves of a pack lie apart in shared memory, so that neither side meets a
// bank conflict.
template <int kPack>
MTYOLO_DEV float column_total(const ColumnGrid& g, const float (&part)[kPack]) {
  constexpr int kHalf = kColumnThreads * 4;
  MTYOLO_SMEM(float, parts, [kPack / 4 * kHalf]);
  const int t = int(thread_index().x), wide = g.columns * 4, rows = kColumnThreads / g.columns;
  sync();  // an earlier sum may still be read
  MTYOLO_UNROLL
  for (int e = 0; e < kPack; e += 4)
    st128(parts + e / 4 * kHalf + t * 4, Pack<float>{{part[e], part[e + 1], part[e + 2], part[e + 3]}});
  MTYOLO_MUTANT(152, sync(), void());
  float sum = 0;
  if (t < g.columns * kPack)
    for (int r = 0; r < rows; ++r) sum += parts[t / wide * kHalf + r * wide + t % wide];
  return sum;
}
template <int kPack>
MTYOLO_DEV int column_channel(const ColumnGrid& g) {  // -1: none
  const int t = int(thread_index().x), wide = g.columns * 4, in_half = t % wide;
  const int channel =
      int(block_index().y) * g.columns * kPack + in_half / 4 * kPack + t / wide * 4 + in_half % 4;
  return t < g.columns * kPack && channel < g.c ? channel : -1;
}

// The second launch: value(tile, channel) of all tiles joined in their order; in worker 0 of the channel,
// which is merge_channel() for it and -1 for all other threads. V{} joined with x is x.
inline LaunchDims merge_dims(int c) {
  return {{uint32_t(c + kMergeChannels - 1) / kMergeChannels}, {kMergeThreads}};
}
MTYOLO_DEV int merge_channel(int c) {
  const int t = int(thread_index().x), channel = int(block_index().x) * kMergeChannels + t % kMergeChannels;
  return t < kMergeChannels && channel < c ? channel : -1;
}
template <class V, class Value, class Join>
MTYOLO_DEV V merge_tiles(int tiles, int c, Value value, Join join) {
  MTYOLO_SMEM(V, parts, [kMergeThreads]);
  const int t = int(thread_index().x), worker = t / kMergeChannels;
  const int channel = int(block_index().x) * kMergeChannels + t % kMergeChannels;
  const int each = (tiles + kMergeWorkers - 1) / kMergeWorkers;
  const int end = (worker + 1) * each < tiles ? (worker + 1) * each : tiles;
  V sum{};
  if (channel < c)
    for (int tile = worker * each; tile < end; ++tile) sum = join(sum, value(tile, channel));
  sync();  // an earlier sum may still be read
  parts[t] = sum;
  MTYOLO_MUTANT(153, sync(), void());
  if (worker == 0)
    for (int w = 1; w < kMergeWorkers; ++w) sum = join(sum, parts[w * kMergeChannels + t]);
  return sum;
}
// Of floats, partials [tiles][sums][c].
MTYOLO_DEV float merge_sums(const float* partials, int tiles, int sums, int which, int c) {
  return merge_tiles<float>(
      tiles, c, [&](int tile, int channel) { return partials[(int64_t{tile} * sums + which) * c + channel]; },
      [](float a, float b) { return a + b; });
}

// Calls f(T{}) for the maps' type.
template <class F>
void with_map_type(KernelType type, const char* refusal, F f) {
  if (type == KernelType::kF32) return f(float{});
  if (type == KernelType::kF16) return f(half{});
  if (type == KernelType::kBF16) return f(bfloat16{});
  check_argument(false, refusal);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

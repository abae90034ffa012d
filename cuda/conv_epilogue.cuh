// What happens to a block's sums of products, for any kernel that computes tiles of y: finish_tile() for sums
// in registers, store_staged() for a tile that is staged in shared memory already.
#pragma once

#include "cuda/conv_store.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {

struct TilePlace {
  int m, n, split;  // m, n: of the tile, in tiles
};

// Blocks that follow each other share eight tiles of pixels while they go through all channels, so that both
// operands are found in the L2 cache. `block` counts tiles of pixels times tiles of channels.
MTYOLO_DEV TilePlace tile_place(const ConvParams& p, int block, int split) {
  const int group = block / (8 * p.n_tiles), rest = block - group * 8 * p.n_tiles;
  const int left = p.m_tiles - 8 * group, height = left < 8 ? left : 8;
  return {8 * group + rest % height, rest / height, split};
}

// The staged tile (staged_place()) to y. T is the type of the operands. All threads of the block come here
// after a sync().
template <class T, int kM, int kN, int kThreads>
MTYOLO_DEV void store_staged(const ConvParams& p, float* staged, const TilePlace& at) {
  const int m = at.m * kM, n = at.n * kN;
  if constexpr (std::is_same_v<T, int8_t>) {
    if (p.out == KernelType::kS8) return store_rows<int8_t, kM, kN, kThreads>(p, staged, m, n);
    if (p.out == KernelType::kF16) return store_rows<half, kM, kN, kThreads>(p, staged, m, n);
  } else if constexpr (sizeof(T) == 2) {
    if (p.out != KernelType::kF32) return store_rows<T, kM, kN, kThreads>(p, staged, m, n);
  }
  store_rows<float, kM, kN, kThreads>(p, staged, m, n);
}

// Leaves this block's staged sums in the workspace; the last block of the tile gets true and, staged, the
// sums of all splits, added in their order.
template <int kM, int kN, int kThreads>
MTYOLO_DEV bool add_splits(const ConvParams& p, float* staged, const TilePlace& at) {
  constexpr int kBatch = 4, kStep = 4 * kThreads;  // 16 bytes a thread, four of them on their way
  static_assert(kM * kN % (kStep * kBatch) == 0);
  const int tile = at.m * p.n_tiles + at.n;
  float* parts = p.parts + int64_t{tile} * p.splits * (kM * kN);
  for (int i = 4 * int(thread_index().x); i < kM * kN; i += kStep)
    st128(parts + at.split * (kM * kN) + i, ld128(staged + i));
  if (!last_block(p.counters + tile, uint32_t(p.splits))) return false;
  const int first = MTYOLO_MUTANT(103, 0, at.split);
  for (int i = 4 * int(thread_index().x); i < kM * kN; i += kStep * kBatch) {
    Pack<float> sums[kBatch] = {};
    for (int s = first; s < first + p.splits; ++s) {
      const float* part = parts + (s < p.splits ? s : s - p.splits) * (kM * kN) + i;
      MTYOLO_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const Pack<float> add = ld128(part + b * kStep);
        MTYOLO_UNROLL
        for (int e = 0; e < 4; ++e) sums[b].values[e] += add.values[e];
      }
    }
    MTYOLO_UNROLL
    for (int b = 0; b < kBatch; ++b) st128(staged + i + b * kStep, sums[b]);
  }
  sync();
  return true;
}

// Tile: Element (the operands' type), kM, kN, kThreads, and stage(float* staged), which writes the sums to
// staged_place(). `shared` holds kM * kN floats and may have been the operands' until now.
template <class Tile>
MTYOLO_DEV void finish_tile(const ConvParams& p, char* shared, Tile& tile, const TilePlace& at) {
  constexpr int kM = Tile::kM, kN = Tile::kN, kThreads = Tile::kThreads;
  float* staged = reinterpret_cast<float*>(shared);
  MTYOLO_MUTANT(104, sync(), void());
  tile.stage(staged);
  MTYOLO_MUTANT(105, sync(), void());
  if (p.splits == 1 || add_splits<kM, kN, kThreads>(p, staged, at))
    store_staged<typename Tile::Element, kM, kN, kThreads>(p, staged, at);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

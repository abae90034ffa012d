// What a thread adds of a matrix product of grad_tile.cuh.
#pragma once

#include "cuda/grad_tile.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

MTYOLO_DEV uint32_t tf32_word(const char* tile, int row, int column) {
  const char* word = tile + deep_place<float>(row, column / 4) + column % 4 * 4;
  return to_tf32(*reinterpret_cast<const float*>(word)).bits;
}

// The sums of a thread. add() takes one tile; each_run() calls use(m, n, values) for runs of kRun neighbours
// along n. This one is for tensor cores: warps of (kM / 2) x 32, two of them along m.
template <class Tile, class T = typename Tile::T>
struct Sums {
  static constexpr int kTilesM = Tile::kM / 32;
  float acc[kTilesM][4][4] = {};
  const int lane = int(lane_index());
  const int warp_m = int(warp_index()) % 2 * (Tile::kM / 2), warp_n = int(warp_index()) / 2 * 32;

  MTYOLO_DEV void add(const char* a_tile, const char* b_tile) {
    constexpr int kDepth = 32 / int(sizeof(T));  // of one mma: 32 bytes, whatever the type
    MTYOLO_UNROLL
    for (int step = 0; step < 2; ++step) {
      uint32_t a[kTilesM][4], b[4][2];
      MTYOLO_UNROLL
      for (int i = 0; i < kTilesM; ++i) load_a(a[i], a_tile, warp_m + 16 * i, step);
      MTYOLO_UNROLL
      for (int j = 0; j < 4; j += 2) load_b_pair(b[j], b[j + 1], b_tile, warp_n + 8 * j, step * kDepth);
      MTYOLO_UNROLL
      for (int i = 0; i < kTilesM; ++i) MTYOLO_UNROLL
      for (int j = 0; j < 4; ++j) mma<T, kDepth>(acc[i][j], a[i], b[j]);
    }
  }

  // Four lanes hold the 32 columns of a row, each two of every eight. They exchange them until each has runs
  // of kRun neighbours: 8, a transposition of 4 x 4 pairs; or 4, half of it.
  template <int kRun, class Use>
  MTYOLO_DEV void each_run(Use use) {
    static_assert(kRun == 4 || kRun == 8);
    const int column = kRun == 8 ? 8 * (lane % 4) : 8 * (lane % 2) + lane / 2 % 2 * 4;
    MTYOLO_UNROLL
    for (int i = 0; i < kTilesM; ++i) MTYOLO_UNROLL
    for (int half_row = 0; half_row < 2; ++half_row) {
      float v[8 / kRun][kRun];
      MTYOLO_UNROLL
      for (int e = 0; e < 8; ++e) v[e / kRun][e % kRun] = acc[i][e / 2][2 * half_row + e % 2];
      exchange<1>(v);
      if constexpr (kRun == 8) exchange<2>(v);
      MTYOLO_UNROLL
      for (int r = 0; r < 8 / kRun; ++r)
        use(warp_m + 16 * i + 8 * half_row + lane / 4, warp_n + column + 16 * r, v[r]);
    }
  }

 private:
  template <int kBit, int kRuns, int kRun>
  MTYOLO_DEV void exchange(float (&v)[kRuns][kRun]) {
    const bool upper = (lane & kBit) != 0;
    MTYOLO_UNROLL
    for (int e = 0; e < 8; ++e) {
      if ((e / 2 & kBit) != 0) continue;
      float &low = v[e / kRun][e % kRun], &high = v[(e + 2 * kBit) / kRun][(e + 2 * kBit) % kRun];
      const float got = shfl_xor(upper ? low : high, uint32_t(MTYOLO_MUTANT(130, kBit, 3 - kBit)));
      (upper ? low : high) = got;
    }
  }

  MTYOLO_DEV void load_a(uint32_t (&a)[4], const char* tile, int m, int step) {
    if constexpr (Tile::kRowsA) {
      ldmatrix(a, tile + row_place(m + lane % 16, 2 * step + lane / 16));
      if constexpr (sizeof(T) == 4) {
        MTYOLO_UNROLL
        for (int i = 0; i < 4; ++i) a[i] = to_tf32(as_float(a[i])).bits;
      }
    } else if constexpr (sizeof(T) == 2) {
      const int row = 16 * step + lane / 16 * 8 + lane % 8;
      ldmatrix_trans(a, tile + deep_place<T>(row, m / 8 + lane / 8 % 2));
    } else {
      MTYOLO_UNROLL
      for (int i = 0; i < 4; ++i)
        a[i] = tf32_word(tile, 8 * step + lane % 4 + i / 2 * 4, m + lane / 4 + i % 2 * 8);
    }
  }

  // Columns n.. and n + 8...
  MTYOLO_DEV void load_b_pair(uint32_t (&first)[2], uint32_t (&second)[2], const char* tile, int n, int row) {
    uint32_t b[4];
    if constexpr (sizeof(T) == 2) {
      ldmatrix_trans(b, tile + deep_place<T>(row + lane % 16, n / 8 + lane / 16));
    } else {
      MTYOLO_UNROLL
      for (int i = 0; i < 4; ++i)
        b[i] = tf32_word(tile, row + lane % 4 + i % 2 * 4, n + lane / 4 + i / 2 * 8);
    }
    first[0] = b[0], first[1] = b[1], second[0] = b[2], second[1] = b[3];
  }
};

// f32 by fused multiply-add, 64 x 64: each thread has rows 4 ty.. and 32 + 4 ty.., columns 4 tx...
template <class Tile>
struct Sums<Tile, float> {
  static_assert(Tile::kM == 64 && Tile::kN == 64);
  float acc[8][4] = {};
  const int tx = int(thread_index().x) % 16, ty = int(thread_index().x) / 16;

  MTYOLO_DEV void add(const char* a_tile, const char* b_tile) {
    MTYOLO_UNROLL
    for (int chunk = 0; chunk < Tile::kDepth / 4; ++chunk) {
      Pack<float> a[8];  // a[i]: depths of row i, or a[4 i + d]: rows of a half at depth d
      MTYOLO_UNROLL
      for (int i = 0; i < 8; ++i)
        a[i] = ld128(reinterpret_cast<const float*>(
            a_tile + (Tile::kRowsA ? row_place(row(i), chunk)
                                   : deep_place<float>(4 * chunk + i % 4, ty + i / 4 * kPanelChunks))));
      MTYOLO_UNROLL
      for (int d = 0; d < 4; ++d) {
        const auto b = ld128(reinterpret_cast<const float*>(b_tile + deep_place<float>(4 * chunk + d, tx)));
        MTYOLO_UNROLL
        for (int i = 0; i < 8; ++i) {
          const float value = Tile::kRowsA ? a[i].values[d] : a[i / 4 * 4 + d].values[i % 4];
          MTYOLO_UNROLL
          for (int e = 0; e < 4; ++e) acc[i][e] += value * b.values[e];
        }
      }
    }
  }

  template <int kRun, class Use>
  MTYOLO_DEV void each_run(Use use) {
    static_assert(kRun == 4);
    MTYOLO_UNROLL
    for (int i = 0; i < 8; ++i) use(row(i), 4 * tx, acc[i]);
  }

 private:
  MTYOLO_DEV int row(int i) const { return 4 * ty + i / 4 * 32 + i % 4; }
};

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

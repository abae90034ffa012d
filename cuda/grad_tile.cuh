// The matrix product behind both gradients of a convolution, c[m, n] = sum over a depth of a[m, d] b[d, n]:
// tiles of a and b in a ring in shared memory. The sums: grad_sums.cuh.
#pragma once

#include "cuda/device/block.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/device/vec.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

constexpr int kStages = 4, kChunkBytes = 16, kPanelChunks = 8;

template <class T>
using Stored = std::conditional_t<std::is_same_v<T, tf32>, float, T>;

// What a block computes: kM x kN, 64 bytes of depth at a time. Rows of b's tile are of one depth and kN wide;
// a's are either alike, kM wide, or (kRowsA) of one m and kDepth wide, whichever way it lies in memory.
template <class T_, int kM_, int kN_, bool kRowsA_>
struct Tile {
  using T = T_;
  static constexpr bool kRowsA = kRowsA_;
  static constexpr int kM = kM_, kN = kN_, kThreads = 2 * kN, kDepth = 64 / int(sizeof(T));
  static constexpr int kBlocks = 256 / kThreads;                  // of a multiprocessor, at least
  static constexpr int kElements = kChunkBytes / int(sizeof(T));  // of a chunk
  static constexpr int kBytesA = 64 * kM, kStageBytes = 64 * (kM + kN);
  static constexpr size_t kSharedBytes = size_t(kStages) * kStageBytes;
  // Chunks that a thread copies, all from the same column of chunks.
  static constexpr int kCopiesA = 4 * kM / kThreads, kCopiesB = 4 * kN / kThreads;
};

// Where chunk `chunk` of row `row` lies in a tile whose rows are of one depth: in panels of 128 bytes,
// swizzled so that rows of copies, ldmatrix_trans (8 rows, one chunk) and the words of tf32 (4 rows, 2
// chunks) meet no bank conflict.
template <class T>
MTYOLO_DEV int deep_place(int row, int chunk) {
  constexpr int kDepth = 64 / int(sizeof(T));
  const int turn = MTYOLO_MUTANT(125, sizeof(T) == 2 ? row & 7 : 2 * (row & 3), 0);
  return ((chunk / kPanelChunks * kDepth + row) * kPanelChunks + (chunk % kPanelChunks ^ turn)) * kChunkBytes;
}
// The same where rows are of one m.
MTYOLO_DEV int row_place(int row, int chunk) { return swizzled<4>(row, chunk) * kChunkBytes; }

// Calls load(stage) for each of `tiles` tiles in order, kStages - 1 of them ahead, and step(a_tile, b_tile).
template <class Tile, class Load, class Step>
MTYOLO_DEV void for_each_tile(char* ring, int tiles, Load& load, Step step) {
  const auto start = [&](int tile) {
    if (tile < tiles) load(ring + tile % kStages * Tile::kStageBytes);
    cp_async_commit();  // an empty group keeps the count right
  };
  for (int tile = 0; tile < kStages - 1; ++tile) start(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    MTYOLO_MUTANT(121, cp_async_wait<kStages - 2>(), cp_async_wait<kStages - 1>());
    MTYOLO_MUTANT(122, sync(), void());  // all threads have this tile, and are done with the one before
    start(tile + kStages - 1);
    const char* stage = ring + MTYOLO_MUTANT(134, tile, tile + 1) % kStages * Tile::kStageBytes;
    step(stage, stage + Tile::kBytesA);
  }
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

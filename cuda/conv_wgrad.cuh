// The gradient of a convolution's weights: rows are channels of gy, columns (tap, channel of x) packed
// densely, depth is pixels of gy, cut into parts whose sums a second kernel adds in their order. And the
// bias's gradient.
#pragma once

#include "cuda/grad_sums.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

struct WgradParams {
  const char *gy, *x;
  float* partial;               // [splits][k][partial_stride]
  int64_t gy_stride, x_stride;  // bytes
  int pixels, part;             // of gy; of one split, a multiple of the tile's depth
  int k, columns, partial_stride;
  int gy_h, gy_w, x_h, x_w, c, kernel, stride, pad;
  int next_n, next_y, next_x;  // a tile's depth of pixels as images, rows and pixels
};

// kPieces: taps that a chunk of x covers, 2 for pixels of 8 bytes.
template <class Tile, int kPieces>
struct WgradLoader {
  using T = typename Tile::T;
  static constexpr int kChunksA = Tile::kM / Tile::kElements, kChunksB = Tile::kN / Tile::kElements;
  static constexpr int kPiece = Tile::kElements / kPieces;
  const WgradParams& p;
  int first, end;                                               // pixels that this block has left
  int n[Tile::kCopiesB], y[Tile::kCopiesB], x[Tile::kCopiesB];  // of the thread's pixels, in gy
  int tap_y[kPieces], tap_x[kPieces], bytes[kPieces];           // of the thread's columns; bytes < 0: none

  MTYOLO_DEV explicit WgradLoader(const WgradParams& params) : p(params) {
    first = int(block_index().z) * p.part;
    end = first + p.part < p.pixels ? first + p.part : p.pixels;
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesB; ++i) {
      const int pixel = first + row_b(i), rest = pixel % (p.gy_h * p.gy_w);
      n[i] = pixel / (p.gy_h * p.gy_w), y[i] = rest / p.gy_w, x[i] = rest % p.gy_w;
    }
    MTYOLO_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      const int column = int(block_index().x) * Tile::kN + chunk_b() * Tile::kElements + place(i) * kPiece;
      const int tap = column / p.c;
      tap_y[i] = tap / p.kernel - p.pad, tap_x[i] = tap % p.kernel - p.pad;
      bytes[i] = column < p.columns ? column % p.c * int(sizeof(T)) : -1;
    }
  }

  MTYOLO_DEV void operator()(char* stage) {
    const int chunk = int(thread_index().x) % kChunksA;
    const int at_k = int(block_index().y) * Tile::kM + chunk * Tile::kElements;
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesA; ++i) {
      const int row = int(thread_index().x) / kChunksA + i * (Tile::kThreads / kChunksA), pixel = first + row;
      cp_async<16>(stage + deep_place<T>(row, chunk), p.gy + pixel * p.gy_stride + at_k * int(sizeof(T)),
                   at_k < p.k && MTYOLO_MUTANT(126, pixel < end, pixel <= end));
    }
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesB; ++i) {
      char* to = stage + Tile::kBytesA + deep_place<T>(row_b(i), chunk_b());
      MTYOLO_UNROLL
      for (int j = 0; j < kPieces; ++j)
        copy_x(to + place(j) * (kChunkBytes / kPieces), i, MTYOLO_MUTANT(131, j, 0));
      x[i] += p.next_x, y[i] += p.next_y, n[i] += p.next_n;
      if (x[i] >= p.gy_w) x[i] -= p.gy_w, ++y[i];
      if (y[i] >= p.gy_h) y[i] -= p.gy_h, ++n[i];
    }
    first += Tile::kDepth;
  }

 private:
  MTYOLO_DEV static int chunk_b() { return int(thread_index().x) % kChunksB; }
  MTYOLO_DEV static int row_b(int i) {
    return int(thread_index().x) / kChunksB + i * (Tile::kThreads / kChunksB);
  }
  // Threads of odd rows begin with a chunk's second half, lest two rows' first halves meet in the same banks.
  MTYOLO_DEV static int place(int piece) { return kPieces == 1 ? 0 : piece ^ (row_b(0) & 1); }
  MTYOLO_DEV void copy_x(char* to, int i, int piece) {
    const int at_y = y[i] * p.stride + tap_y[piece], at_x = x[i] * p.stride + tap_x[piece];
    const bool inside = first + row_b(i) < end && bytes[piece] >= 0 && uint32_t(at_y) < uint32_t(p.x_h) &&
                        uint32_t(at_x) < uint32_t(MTYOLO_MUTANT(135, p.x_w, p.x_w + 1));
    const int64_t pixel = (n[i] * p.x_h + at_y) * p.x_w + at_x;
    cp_async<kChunkBytes / kPieces>(to, p.x + pixel * p.x_stride + bytes[piece], inside);
  }
};

template <class Tile, int kPieces>
MTYOLO_KERNEL MTYOLO_BOUNDS(Tile::kThreads, Tile::kBlocks) conv_wgrad_kernel(WgradParams p) {
  MTYOLO_DYNAMIC_SMEM(char, ring);
  WgradLoader<Tile, kPieces> load(p);
  const int tiles =
      (load.end - load.first + Tile::kDepth - 1) / Tile::kDepth;  // below 1 for a part of nothing
  Sums<Tile> sums;
  for_each_tile<Tile>(ring, tiles, load, [&](const char* a, const char* b) { sums.add(a, b); });
  const int first_k = int(block_index().y) * Tile::kM, first_n = int(block_index().x) * Tile::kN;
  sums.template each_run<4>([&](int row, int column, const float(&values)[4]) {
    const int k = first_k + row, n = first_n + column;
    if (k >= p.k || n >= p.partial_stride) return;
    st128(p.partial + (int64_t{block_index().z} * p.k + k) * p.partial_stride + n,
          Pack<float>{{values[0], values[1], values[2], values[3]}});
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

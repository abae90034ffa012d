// The gradient of a convolution's weights: rows are channels of gy, columns (tap, channel of x) packed
// densely, depth is pixels of gy, cut into parts whose sums a second kernel adds in their order. And the
// bias's gradient.
#pragma once

#include "cuda/conv_grad.h"
#include "cuda/grad_sums.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

// Elements between rows of the parts' sums, [splits][channel of gy][stride] f32.
MTYOLO_HOST_DEV int partial_stride(const ConvWgradArgs& p) {
  return (p.kernel * p.kernel * p.x.c + 7) / 8 * 8;
}

// kPieces: taps that a chunk of x covers, 2 for pixels of 8 bytes. `part` pixels of gy, a multiple of the
// tile's depth, are a block's.
template <class Tile, int kPieces>
struct WgradLoader {
  using T = Stored<typename Tile::T>;
  static constexpr int kChunksA = Tile::kM / Tile::kElements, kChunksB = Tile::kN / Tile::kElements;
  const ConvWgradArgs& p;
  // From a pixel to that of the next tile.
  const int next_x = Tile::kDepth % p.gy.w, next_y = Tile::kDepth / p.gy.w % p.gy.h;
  const int next_n = Tile::kDepth / p.gy.w / p.gy.h;
  int first, end;                                               // pixels that this block has left
  int n[Tile::kCopiesB], y[Tile::kCopiesB], x[Tile::kCopiesB];  // of the thread's pixels, in gy
  int tap_y[kPieces], tap_x[kPieces], channel[kPieces];         // of the thread's columns; channel < 0: none

  MTYOLO_DEV WgradLoader(const ConvWgradArgs& args, int part) : p(args) {
    const int pixels = p.gy.n * p.gy.h * p.gy.w;
    first = int(block_index().z) * part;
    end = first + part < pixels ? first + part : pixels;
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesB; ++i) {
      const int pixel = first + row_b(i), rest = pixel % (p.gy.h * p.gy.w);
      n[i] = pixel / (p.gy.h * p.gy.w), y[i] = rest / p.gy.w, x[i] = rest % p.gy.w;
    }
    MTYOLO_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      const int chunk = int(block_index().x) * kChunksB + chunk_b();
      const int column = chunk * Tile::kElements + place(i) * (Tile::kElements / kPieces),
                tap = column / p.x.c;
      tap_y[i] = tap / p.kernel - p.pad, tap_x[i] = tap % p.kernel - p.pad;
      channel[i] = tap < p.kernel * p.kernel ? column % p.x.c : -1;
    }
  }

  MTYOLO_DEV void operator()(char* stage) {
    const int chunk = int(thread_index().x) % kChunksA;
    const int at_k = int(block_index().y) * Tile::kM + chunk * Tile::kElements;
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesA; ++i) {
      const int row = int(thread_index().x) / kChunksA + i * (Tile::kThreads / kChunksA), pixel = first + row;
      cp_async<16>(stage + deep_place<T>(row, chunk),
                   static_cast<const T*>(p.gy.data) + int64_t{pixel} * p.gy.pixel_stride + at_k,
                   at_k < p.gy.c && MTYOLO_MUTANT(126, pixel < end, pixel <= end));
    }
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesB; ++i) {
      char* to = stage + Tile::kBytesA + deep_place<T>(row_b(i), chunk_b());
      MTYOLO_UNROLL
      for (int j = 0; j < kPieces; ++j)
        copy_x(to + place(j) * (kChunkBytes / kPieces), i, MTYOLO_MUTANT(131, j, 0));
      x[i] += next_x, y[i] += next_y, n[i] += next_n;
      if (x[i] >= p.gy.w) x[i] -= p.gy.w, ++y[i];
      if (y[i] >= p.gy.h) y[i] -= p.gy.h, ++n[i];
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
    const bool inside = first + row_b(i) < end && channel[piece] >= 0 && uint32_t(at_y) < uint32_t(p.x.h) &&
                        uint32_t(at_x) < uint32_t(MTYOLO_MUTANT(135, p.x.w, p.x.w + 1));
    const int64_t pixel = (n[i] * p.x.h + at_y) * p.x.w + at_x;
    cp_async<kChunkBytes / kPieces>(
        to, static_cast<const T*>(p.x.data) + pixel * p.x.pixel_stride + channel[piece], inside);
  }
};

template <class Tile, int kPieces>
MTYOLO_KERNEL MTYOLO_BOUNDS(Tile::kThreads, Tile::kBlocks) conv_wgrad_kernel(ConvWgradArgs p, int part) {
  MTYOLO_DYNAMIC_SMEM(char, ring);
  WgradLoader<Tile, kPieces> load(p, part);
  const int tiles = (load.end - load.first + Tile::kDepth - 1) / Tile::kDepth;  // below 1 for no pixels
  Sums<Tile> sums;
  for_each_tile<Tile>(ring, tiles, load, [&](const char* a, const char* b) { sums.add(a, b); });
  const int first_k = int(block_index().y) * Tile::kM, first_n = int(block_index().x) * Tile::kN;
  sums.template each_run<4>([&](int row, int column, const float(&values)[4]) {
    const int k = first_k + row, n = first_n + column;
    if (k >= p.gy.c || n >= partial_stride(p)) return;
    st128(static_cast<float*>(p.workspace) + (int64_t{block_index().z} * p.gy.c + k) * partial_stride(p) + n,
          Pack<float>{{values[0], values[1], values[2], values[3]}});
  });
}

constexpr int kReduceThreads = 128;

// Adds the parts' sums in the order of the splits.
MTYOLO_KERNEL MTYOLO_BOUNDS(kReduceThreads, 8) reduce_parts_kernel(ConvWgradArgs p) {
  const float* partial = static_cast<const float*>(p.workspace);
  const int64_t size = int64_t{p.gy.c} * partial_stride(p);
  const int64_t first = (int64_t{block_index().x} * kReduceThreads + thread_index().x) * 4;
  if (first >= size) return;
  Pack<float> sum = ld128_nc(partial + first);
  MTYOLO_UNROLL
  for (int split = 1; split < p.config.splits; ++split) {
    const auto part = ld128_nc(partial + MTYOLO_MUTANT(127, split, p.config.splits - split) * size + first);
    MTYOLO_UNROLL
    for (int e = 0; e < 4; ++e) sum.values[e] += part.values[e];
  }
  const int k = int(first / partial_stride(p)), column = int(first % partial_stride(p));
  const int channels = p.channels == 0 ? p.x.c : p.channels;
  bool finite = true;
  MTYOLO_UNROLL
  for (int e = 0; e < 4; ++e) {
    const int tap = (column + e) / p.x.c, c = (column + e) % p.x.c;
    if (tap >= p.kernel * p.kernel || MTYOLO_MUTANT(129, c >= channels, c > channels)) continue;
    float* to = p.gw + k * p.stride_k + tap * p.stride_tap + c * p.stride_c;
    const float value = p.accumulate ? *to + sum.values[e] : sum.values[e];
    finite = finite && (as_bits(value) & 0x7f800000u) != 0x7f800000u;
    *to = value;
  }
  if (p.non_finite != nullptr && MTYOLO_MUTANT(132, !finite, false)) atomic_max(p.non_finite, 1);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

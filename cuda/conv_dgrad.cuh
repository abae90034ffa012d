// The gradient of a convolution's input: rows are pixels of gx, columns its channels, depth is tap and then
// channel of gy. The weights are read as they lie in memory, a tile of [gy channel][gx channel] per tap:
// ldmatrix_trans turns them for nothing, where a turned copy would cost a kernel and a workspace.
#pragma once

#include "cuda/conv_grad.h"
#include "cuda/grad_sums.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

// Pixels of gx at the same place modulo the stride: they meet the same taps, first_r, first_r + stride, ...,
// of which tap number j reads the row of gy that is `base_y + i - j` for row number i of the class.
struct DgradClass {
  int first_tile = 0, h = 0, w = 0;  // h x w pixels of each image
  int y = 0, x = 0;                  // of the first
  int first_r = 0, first_s = 0, taps_r = 0, taps_s = 0, base_y = 0, base_x = 0;
};

struct DgradClasses {
  int count = 0;
  DgradClass of[4];
};

template <class Tile>
struct DgradLoader {
  using T = Stored<typename Tile::T>;
  static constexpr int kChunksB = Tile::kN / Tile::kElements;
  const ConvDgradArgs& p;
  const DgradClass& in;
  int64_t from[Tile::kCopiesA];  // elements to the thread's pixels in gy at the class's first tap
  int y[Tile::kCopiesA], x[Tile::kCopiesA];
  int k = 0, r = 0, s = 0;  // where the depth is: channel of gy, number of the tap in the class

  MTYOLO_DEV DgradLoader(const ConvDgradArgs& args, const DgradClass& of_class, int first_m)
      : p(args), in(of_class) {
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesA; ++i) {
      const int m = first_m + row_a(i), image = m / (in.h * in.w), rest = m % (in.h * in.w);
      y[i] = in.base_y + rest / in.w;
      x[i] = in.base_x + rest % in.w;
      from[i] = (int64_t{image * p.gy.h + y[i]} * p.gy.w + x[i]) * p.gy.pixel_stride;
      if (image >= p.gy.n) y[i] = -(1 << 30);
    }
  }

  MTYOLO_DEV void operator()(char* stage) {
    const int chunk = int(thread_index().x) % 4, at_k = k + chunk * Tile::kElements;
    const T* gy = static_cast<const T*>(p.gy.data) - int64_t{r * p.gy.w + s} * p.gy.pixel_stride + at_k;
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesA; ++i) {
      const bool inside = at_k < p.gy.c && uint32_t(x[i] - s) < uint32_t(p.gy.w) &&
                          uint32_t(y[i] - r) < uint32_t(MTYOLO_MUTANT(124, p.gy.h, p.gy.h + 1));
      cp_async<16>(stage + row_place(row_a(i), chunk), gy + from[i], inside);
    }
    const int column = int(thread_index().x) % kChunksB;
    const int c = int(block_index().y) * Tile::kN + column * Tile::kElements;
    const int tap = (in.first_r + r * p.stride) * p.kernel + in.first_s + s * p.stride;
    const T* weight = static_cast<const T*>(p.weight) + tap * p.gx.c + c;
    MTYOLO_UNROLL
    for (int i = 0; i < Tile::kCopiesB; ++i) {
      const int row = int(thread_index().x) / kChunksB + i * (Tile::kThreads / kChunksB);
      const bool inside = MTYOLO_MUTANT(123, k + row < p.gy.c, k + row <= p.gy.c) && c < p.gx.c;
      cp_async<16>(stage + Tile::kBytesA + deep_place<T>(row, column),
                   weight + int64_t{k + row} * p.weight_stride, inside);
    }
    next();
  }

 private:
  MTYOLO_DEV static int row_a(int i) { return int(thread_index().x) / 4 + i * (Tile::kThreads / 4); }
  MTYOLO_DEV void next() {
    k += Tile::kDepth;
    if (k < p.gy.c) return;
    k = 0;
    if (++s < in.taps_s) return;
    s = 0, ++r;
  }
};

template <class Tile>
MTYOLO_KERNEL MTYOLO_BOUNDS(Tile::kThreads, Tile::kBlocks)
    conv_dgrad_kernel(ConvDgradArgs p, DgradClasses classes) {
  using T = Stored<typename Tile::T>;
  constexpr int kRun = Pack<T>::kSize;
  MTYOLO_DYNAMIC_SMEM(char, ring);
  int number = 0;
  while (number + 1 < classes.count && int(block_index().x) >= classes.of[number + 1].first_tile) ++number;
  const DgradClass& in = classes.of[number];
  const int first_m = (int(block_index().x) - in.first_tile) * Tile::kM;
  const int tiles = in.taps_r * in.taps_s * ((p.gy.c + Tile::kDepth - 1) / Tile::kDepth);
  DgradLoader<Tile> load(p, in, first_m);
  Sums<Tile> sums;
  for_each_tile<Tile>(ring, tiles, load, [&](const char* a, const char* b) { sums.add(a, b); });
  sums.template each_run<kRun>([&](int row, int column, const float(&values)[kRun]) {
    const int m = first_m + row, image = m / (in.h * in.w), rest = m % (in.h * in.w);
    const int c = int(block_index().y) * Tile::kN + column;
    if (image >= p.gx.n || c >= p.gx.c) return;
    const int y = in.y + rest / in.w * p.stride, x = in.x + rest % in.w * p.stride;
    const int64_t pixel = int64_t{image * p.gx.h + y} * p.gx.w + x;
    T* gx = static_cast<T*>(p.gx.data) + pixel * p.gx.pixel_stride + c;
    Pack<T> pack;
    if (p.accumulate) pack = ld128(gx);
    MTYOLO_UNROLL
    for (int e = 0; e < kRun; ++e) {
      const float before = MTYOLO_MUTANT(128, p.accumulate, false) ? to_float(pack.values[e]) : 0.0f;
      pack.values[e] = from_float<T>(before + values[e]);
    }
    st128(gx, pack);
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

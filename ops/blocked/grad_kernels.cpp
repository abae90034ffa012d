// Gradients of max pooling and upsampling on blocked maps.
#include "ops/blocked/kernels.h"
#include "ops/blocked/simd.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {
namespace {

// Window and step are equal and lie inside: every pixel belongs to one window at most.
template <class T>
void disjoint_windows(const PoolGradTask& task, int block) {
  const MapView &x = task.x, &gy = task.gy, &gx = task.gx;
  const int k = task.k;
  for (int i = 0; i < gy.h; ++i)
    for (int c = 0; c < gy.w * kBlock; c += kFloats) {
      const int j = c / kBlock, lane = c % kBlock;
      Vec best = load(pixel_at<const T>(x, block, i * k, j * k) + lane);
      IntVec where{};
      for (int p = 1; p < k * k; ++p) {
        const Vec v = load(pixel_at<const T>(x, block, i * k + p / k, j * k + p % k) + lane);
        const IntVec wins = (v > best) | (v != v);
        best = wins ? v : best;
        where = wins ? IntVec{} + p : where;
      }
      const Vec g = load(pixel_at<const T>(gy, block, i, j) + lane);
      for (int p = 0; p < k * k; ++p) {
        T* at = pixel_at<T>(gx, block, i * k + p / k, j * k + p % k) + lane;
        store(at, load(at) + (where == IntVec{} + p ? g : Vec{}));
      }
    }
}

// First maximum of every row of a window, [x.h][y.w].
template <class T>
void row_maxima(const PoolGradTask& task, int block) {
  const MapView &x = task.x, &gy = task.gy;
  for (int row = 0; row < x.h; ++row)
    for (int c = 0; c < gy.w * kBlock; c += kFloats) {
      const int j = c / kBlock, lane = c % kBlock;
      const int first = larger(j * task.stride - task.pad, 0);
      const int last = smaller(j * task.stride - task.pad + task.k, x.w);
      Vec best = load(pixel_at<const T>(x, block, row, first) + lane);
      IntVec where = IntVec{} + first;
      for (int v = first + 1; v < last; ++v) {
        const Vec value = load(pixel_at<const T>(x, block, row, v) + lane);
        const IntVec wins = (value > best) | (value != value);
        best = wins ? value : best;
        where = wins ? IntVec{} + v : where;
      }
      const int64_t at = int64_t(row) * gy.w * kBlock + c;
      store(task.best + at, best);
      *reinterpret_cast<IntVec*>(task.column + at) = where;
    }
}

template <class T>
void overlapping_windows(const PoolGradTask& task, int block) {
  const MapView &x = task.x, &gy = task.gy;
  row_maxima<T>(task, block);
  for (int64_t i = 0; i < int64_t(x.h) * x.w * kBlock; i += kFloats) store(task.sum + i, Vec{});
  const int64_t row_lanes = int64_t(gy.w) * kBlock;
  for (int i = 0; i < gy.h; ++i) {
    const int first = larger(i * task.stride - task.pad, 0);
    const int last = smaller(i * task.stride - task.pad + task.k, x.h);
    for (int c = 0; c < gy.w * kBlock; c += kFloats) {
      Vec best = load(task.best + first * row_lanes + c);
      IntVec row = IntVec{} + first;
      for (int u = first + 1; u < last; ++u) {
        const Vec value = load(task.best + u * row_lanes + c);
        const IntVec wins = (value > best) | (value != value);
        best = wins ? value : best;
        row = wins ? IntVec{} + u : row;
      }
      const Vec g = load(pixel_at<const T>(gy, block, i, 0) + c);
      for (int lane = 0; lane < kFloats; ++lane) {
        const int column = task.column[row[lane] * row_lanes + c + lane];
        task.sum[(int64_t(row[lane]) * x.w + column) * kBlock + c % kBlock + lane] += g[lane];
      }
    }
  }
  for (int i = 0; i < x.h; ++i)
    for (int c = 0; c < x.w * kBlock; c += kFloats) {
      T* gx = pixel_at<T>(task.gx, block, i, 0) + c;
      store(gx, load(gx) + load(task.sum + int64_t(i) * x.w * kBlock + c));
    }
}

template <class T>
void spread_back(const MapView& gy, const MapView& gx, int scale, bool add, int block) {
  for (int i = 0; i < gx.h; ++i)
    for (int c = 0; c < gx.w * kBlock; c += kFloats) {
      const int j = c / kBlock, lane = c % kBlock;
      T* to = pixel_at<T>(gx, block, i, 0) + c;
      Vec sum = add ? load(to) : Vec{};
      for (int u = 0; u < scale; ++u)
        for (int v = 0; v < scale; ++v)
          sum += load(pixel_at<const T>(gy, block, i * scale + u, j * scale + v) + lane);
      store(to, sum);
    }
}

}  // namespace

void max_pool_grad(const PoolGradTask& task, int32_t block) {
  with_element(task.x, [&](auto value) {
    using T = decltype(value);
    if (task.k == task.stride && task.pad == 0) disjoint_windows<T>(task, block);
    else overlapping_windows<T>(task, block);
  });
}

void upsample_grad(const MapView& gy, const MapView& gx, int32_t scale, bool add, int32_t block_begin,
                   int32_t block_end) {
  with_element(gx, [&](auto value) {
    for (int block = block_begin; block < block_end; ++block)
      spread_back<decltype(value)>(gy, gx, scale, add, block);
  });
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

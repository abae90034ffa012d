// Strassen's method in Winograd's form for a 1x1 convolution (strassen.h): the sums of the input, and one of
// the seven products with the sums of the weights before and of the products after it.
#include "ops/blocked/epilogue.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

void strassen_input(const MapView (&x)[4], const MapView (&t)[4]) {
  const int floats = t[0].w * kBlock;
  for (int block = 0; block < t[0].channels / kBlock; ++block)
    for (int row = 0; row < t[0].h; ++row) {
      const float* in[4];
      float* out[4];
      for (int i = 0; i < 4; ++i) {
        in[i] = pixel_at<const float>(x[i], block, row, 0);
        out[i] = pixel_at<float>(t[i], block, row, 0);
      }
      for (int i = 0; i < floats; i += kFloats) {
        const Vec x12 = load(in[1] + i), x22 = load(in[3] + i);
        const Vec t1 = x12 - load(in[0] + i), t2 = x22 - t1;
        store(out[0] + i, t1);
        store(out[1] + i, t2);
        store(out[2] + i, x22 - x12);
        store(out[3] + i, load(in[2] + i) - t2);
      }
    }
}

namespace {

template <int Tile, int Sign>
__attribute__((noinline)) void strassen_tile(const StrassenTask& task, int row, int column) {
  constexpr int kVectors = kPanelBlocks * kParts;
  const ConvTask& conv = task.conv;
  Vec acc[Tile][kVectors];
  for (int t = 0; t < Tile; ++t)
    for (int b = 0; b < kVectors; ++b) acc[t][b] = Vec{};
  const auto* w = static_cast<const float*>(conv.weight);
  const float* other = task.other;
  const float* x = pixel_at<const float>(conv.x, 0, row, column);
  const int64_t half = conv.row_end * conv.x.row_stride;
  for (int block = 0; block < conv.block_end; ++block, x += conv.x.block_stride) {
    if (task.ahead)  // both halves of the rows below
      for (int t = 0; t < Tile; ++t) {
        __builtin_prefetch(x + 2 * half + t * kBlock, 0, 2);
        __builtin_prefetch(x + 3 * half + t * kBlock, 0, 2);
      }
#pragma GCC unroll 2
    for (int c = 0; c < kBlock; ++c, w += kPanel, other += Sign == 0 ? 0 : kPanel) {
      Vec weights[kVectors];
      for (int b = 0; b < kVectors; ++b) {
        weights[b] = load(w + b * kFloats);
        if (Sign > 0) weights[b] += load(other + b * kFloats);
        if (Sign < 0) weights[b] -= load(other + b * kFloats);
      }
      for (int t = 0; t < Tile; ++t) {
        const Vec value = splat(x[t * kBlock + c]);
        for (int b = 0; b < kVectors; ++b) acc[t][b] += value * weights[b];
      }
    }
  }

  for (int b = 0; b < kVectors; ++b) {
    const auto at = [&](const MapView& m) {
      return pixel_at<float>(m, conv.out_block + b / kParts, row, column, m.pixel) + b % kParts * kFloats;
    };
    if (task.also.data != nullptr)
      for (int t = 0; t < Tile; ++t) {
        float* also = at(task.also) + t * kBlock;
        store(also, load(also) + acc[t][b]);
      }
    const float* sums = task.sums.data != nullptr ? at(task.sums) : nullptr;
    const float* residual = conv.residual.data != nullptr ? at(conv.residual) : nullptr;
    const Vec bias = conv.bias != nullptr ? load(conv.bias + b * kFloats) : Vec{};
    for (int t = 0; t < Tile; ++t) {
      Vec v = acc[t][b] + bias;
      if (sums != nullptr) v += load(sums + t * kBlock);
      v = apply_epilogue(v, conv.epilogue, conv.slope);
      if (residual != nullptr) v += load(residual + t * kBlock);
      store(at(conv.y) + t * kBlock, v);
    }
  }
}

template <int Tile>
void run_tile(const StrassenTask& task, int row, int column, int width) {
  if (width < Tile) {
    if constexpr (Tile > 1) run_tile<Tile - 1>(task, row, column, width);
  } else if (task.sign == 0) strassen_tile<Tile, 0>(task, row, column);
  else if (task.sign > 0) strassen_tile<Tile, 1>(task, row, column);
  else strassen_tile<Tile, -1>(task, row, column);
}

}  // namespace

void strassen_product(const StrassenTask& task) {
  const int width = task.conv.y.w, tiles = (width + kTile - 1) / kTile;
  for (int row = task.conv.row_begin; row < task.conv.row_end; ++row)
    for (int i = 0; i < tiles; ++i) {
      const int column = i * width / tiles;
      run_tile<kTile>(task, row, column, (i + 1) * width / tiles - column);
    }
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

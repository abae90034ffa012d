// Direct convolution on blocked maps: an implicit matrix product without an im2col buffer.
//
//   for input block, kernel row, kernel column, lane (= K, always in this order):
//     weights    panel of 16 or 32 output channels, contiguous            -> vector registers
//     pixels     `tile` neighbours of one output row, broadcast lane       -> tile x panel accumulators
//
//              16 or 32 output channels
//            +--------+--------+
//   tile of  | acc 0,0| acc 0,1|      AVX-512: 14 pixels x 2 vectors = 28 of 32 registers
//   pixels   |  ...   |  ...   |      AVX2:     6 pixels x 1 (2 registers each) = 12 of 16
//            +--------+--------+
//
// Rows and columns outside the image are the map's zeroed halo, so there is no edge case. The order of
// summation is the same for every output pixel and channel. Source: H6 of the style guide; layout as oneDNN's
// nChw16c.
#include <utility>

#include "ops/blocked/kernels.h"
#include "ops/blocked/simd.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

namespace {

// Products of `lanes` input channels of one tap. Step: floats between neighbouring output pixels' inputs.
template <int Tile, int Blocks, int Step>
inline __attribute__((always_inline)) void multiply_lanes(Vec (&acc)[Tile][Blocks], const float* x,
                                                          const float* w, int lanes, int64_t step) {
  const int64_t pixel = Step > 0 ? Step : step;
#pragma GCC unroll 2
  for (int c = 0; c < lanes; ++c) {
    Vec weights[Blocks];
    for (int b = 0; b < Blocks; ++b) weights[b] = load(w + c * kPanel + b * kBlock);
    for (int t = 0; t < Tile; ++t) {
      const Vec value = splat(x[t * pixel + c]);
      for (int b = 0; b < Blocks; ++b) acc[t][b] += value * weights[b];
    }
  }
}

template <int Tile, int Blocks, int Step>
void conv_tile(const ConvTask& task, int row, int column) {
  Vec acc[Tile][Blocks];
  for (int t = 0; t < Tile; ++t)
    for (int b = 0; b < Blocks; ++b) acc[t][b] = load(task.bias + b * kBlock);

  const MapView& x = task.x;
  const int64_t step = int64_t(task.stride_w) * x.pixel;
  const float* weight = task.weight;
  const float* origin = x.data + (int64_t(row) * task.stride_h - task.pad_h) * x.row_stride +
                        (int64_t(column) * task.stride_w - task.pad_w) * x.pixel;
  for (int block = task.block_begin; block < task.block_end; ++block) {
    const int left = x.channels - block * kBlock;
    const int lanes = left < kBlock ? left : kBlock;
    for (int u = 0; u < task.kernel_h; ++u) {
      const float* taps = origin + block * x.block_stride + int64_t(u) * task.dilation_h * x.row_stride;
      for (int v = 0; v < task.kernel_w; ++v) {
        const float* at = taps + int64_t(v) * task.dilation_w * x.pixel;
        if (lanes == kBlock) multiply_lanes<Tile, Blocks, Step>(acc, at, weight, kBlock, step);
        else multiply_lanes<Tile, Blocks, Step>(acc, at, weight, lanes, step);
        weight += int64_t(lanes) * kPanel;
      }
    }
  }

  for (int b = 0; b < Blocks; ++b) {
    const auto at = [&](const MapView& m) {
      return m.data + (task.out_block + b) * m.block_stride + row * m.row_stride + int64_t(column) * m.pixel;
    };
    float* y = at(task.y);
    const float* residual = task.residual.data != nullptr ? at(task.residual) : nullptr;
    for (int t = 0; t < Tile; ++t) {
      Vec v = apply_epilogue(acc[t][b], task.epilogue, task.slope);
      if (residual != nullptr) v += load(residual + int64_t(t) * task.residual.pixel);
      store(y + int64_t(t) * task.y.pixel, v);
    }
  }
}

using TileFunction = void (*)(const ConvTask&, int row, int column);

template <int Blocks, int Step, int... Tiles>
TileFunction pick_tile(int tile, std::integer_sequence<int, Tiles...>) {
  static constexpr TileFunction kFunctions[] = {conv_tile<Tiles + 1, Blocks, Step>...};
  return kFunctions[tile - 1];
}

template <int Blocks>
TileFunction pick_step(int tile, int64_t step) {
  constexpr auto kTiles = std::make_integer_sequence<int, kTile>{};
  if (step == kBlock) return pick_tile<Blocks, kBlock>(tile, kTiles);
  if (step == 2 * kBlock) return pick_tile<Blocks, 2 * kBlock>(tile, kTiles);
  if (step == kStemPixel) return pick_tile<Blocks, kStemPixel>(tile, kTiles);
  if (step == 2 * kStemPixel) return pick_tile<Blocks, 2 * kStemPixel>(tile, kTiles);
  return pick_tile<Blocks, 0>(tile, kTiles);
}

TileFunction pick(int tile, int blocks, int64_t step) {
  if constexpr (kPanelBlocks == 2)
    if (blocks == 2) return pick_step<2>(tile, step);
  return pick_step<1>(tile, step);
}

}  // namespace

void conv(const ConvTask& task) {
  // Tiles of nearly equal width, so that no narrow rest wastes registers.
  const int width = task.y.w;
  const int tiles = (width + kTile - 1) / kTile;
  const int narrow = width / tiles, wide_count = width % tiles;
  const int64_t step = int64_t(task.stride_w) * task.x.pixel;
  const TileFunction narrow_tile = pick(narrow, task.out_blocks, step);
  const TileFunction wide_tile = wide_count > 0 ? pick(narrow + 1, task.out_blocks, step) : narrow_tile;
  for (int row = task.row_begin; row < task.row_end; ++row) {
    int column = 0;
    for (int i = 0; i < tiles; ++i) {
      const bool wide = i < wide_count;
      (wide ? wide_tile : narrow_tile)(task, row, column);
      column += narrow + (wide ? 1 : 0);
    }
  }
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

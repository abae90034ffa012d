// Rows of a direct convolution by the tile functions that fit.
#pragma once

#include <utility>

#include "ops/blocked/conv_tile.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

using TileFunction = void (*)(const ConvTask&, int row, int column);

template <class Product, int Blocks, int Step, int... Tiles>
TileFunction pick_tile(int tile, std::integer_sequence<int, Tiles...>) {
  static constexpr TileFunction kFunctions[] = {conv_tile<Product, Tiles + 1, Blocks, Step>...};
  return kFunctions[tile - 1];
}

template <class Product, int Blocks>
TileFunction pick_step(int tile, int64_t step, Element y) {
  constexpr auto kTiles = std::make_integer_sequence<int, kTile>{};
  constexpr int kWide = kBlock / Product::kLanes, kStem = kStemPixel / Product::kLanes;
  if (Product::kLanes == 1 && y == Element::kBF16 && step >= kWide) step = 0;
  if (step == kWide) return pick_tile<Product, Blocks, kWide>(tile, kTiles);
  if (step == 2 * kWide) return pick_tile<Product, Blocks, 2 * kWide>(tile, kTiles);
  if (step == kStem) return pick_tile<Product, Blocks, kStem>(tile, kTiles);
  if (step == 2 * kStem) return pick_tile<Product, Blocks, 2 * kStem>(tile, kTiles);
  return pick_tile<Product, Blocks, 0>(tile, kTiles);
}

template <class Product>
TileFunction pick(int tile, int blocks, int64_t step, Element y) {
  if constexpr (kPanelBlocks == 2)
    if (blocks == 2) return pick_step<Product, 2>(tile, step, y);
  return pick_step<Product, 1>(tile, step, y);
}

template <class Product>
void conv_rows(const ConvTask& task) {
  // Tiles of nearly equal width, so that no narrow rest wastes registers.
  const int width = task.y.w;
  const int tiles = (width + kTile - 1) / kTile;
  const int narrow = width / tiles, wide_count = width % tiles;
  const int64_t step = int64_t(task.stride_w) * task.x.pixel / Product::kLanes;
  const TileFunction narrow_tile = pick<Product>(narrow, task.out_blocks, step, task.y.type);
  const TileFunction wide_tile =
      wide_count > 0 ? pick<Product>(narrow + 1, task.out_blocks, step, task.y.type) : narrow_tile;
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

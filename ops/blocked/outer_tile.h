// Gradient of a convolution's weight: sums over pixels of the products of an input's and an output's
// channels.
//
//   for pixel: gy[16 or 32 output channels] -> vector registers; x[lane] broadcast; one multiply-add per lane
//   and vector. AVX-512: 8 lanes x 2 vectors = 16 accumulators, 10 loads for 16 multiply-adds; AVX2: 4 lanes
//   x 2 registers of a block, NEON: 4 lanes x 4.
//
// A caller cuts the map into pieces that stay in the first-level cache while all taps and lanes pass over
// them.
#pragma once

#include "ops/blocked/product.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

template <class Product, int Lanes, int Blocks>
void outer_lanes(const OuterTask& task, int first_lane) {
  using Factor = typename Product::Factor;
  constexpr int kVectors = Blocks * kParts;
  Vec acc[Lanes][kVectors];
  float* sums = task.sums + first_lane * kPanel;
  for (int l = 0; l < Lanes; ++l)
    for (int b = 0; b < kVectors; ++b)
      if (task.add) acc[l][b] = load(sums + l * kPanel + b * kFloats);
      else acc[l][b] = Vec{};
  for (int i = 0; i < task.rows; ++i) {
    const Factor* x = static_cast<const Factor*>(task.x) + i * task.x_row + first_lane;
    const Factor* gy = static_cast<const Factor*>(task.gy) + i * task.gy_row;
    for (int j = 0; j < task.columns; ++j) {
      for (int s = 0; s < Product::kSteps; ++s) {
        decltype(Product::vector(gy, s)) g[kVectors];
        for (int b = 0; b < kVectors; ++b)
          g[b] = Product::vector(gy + b / kParts * task.gy_block + b % kParts * kFloats, s);
        for (int l = 0; l < Lanes; ++l) {
          const auto value = Product::broadcast(x[l], s);
          for (int b = 0; b < kVectors; ++b) acc[l][b] = Product::multiply_add(acc[l][b], value, g[b]);
        }
      }
      x += task.x_pixel;
      gy += kBlock;
    }
  }
  for (int l = 0; l < Lanes; ++l)
    for (int b = 0; b < kVectors; ++b) store(sums + l * kPanel + b * kFloats, acc[l][b]);
}

template <class Product, int Blocks>
void outer_blocks(const OuterTask& task) {
#if defined(__AVX512F__)
  constexpr int kLanes = 8;
#else
  constexpr int kLanes = 4;
#endif
  int lane = 0;
  for (; lane + kLanes <= task.lanes; lane += kLanes) outer_lanes<Product, kLanes, Blocks>(task, lane);
  for (; lane < task.lanes; lane += 4) outer_lanes<Product, 4, Blocks>(task, lane);
}

template <class Product>
void outer_product(const OuterTask& task) {
  if constexpr (kPanelBlocks == 2)
    if (task.blocks == 2) return outer_blocks<Product, 2>(task);
  outer_blocks<Product, 1>(task);
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

// Direct convolution on blocked maps, f32 or bf16: an implicit matrix product without an im2col buffer.
//   for input block, kernel row, kernel column, lane or pair of lanes (= K, always in this order):
//     weights    panel of 16 or 32 output channels, contiguous            -> vector registers
//     pixels     `tile` neighbours of one output row, broadcast lane       -> tile x panel accumulators
//
//              16 or 32 output channels
//            +--------+--------+
//   tile of  | acc 0,0| acc 0,1|      AVX-512: 14 pixels x 2 blocks of 1 register = 28 of 32 registers
//   pixels   |  ...   |  ...   |      AVX2:     6 pixels x 1 block of 2 = 12 of 16; SSE: 2 x 4 = 8 of 16
//            +--------+--------+      NEON:     5 pixels x 1 block of 4 = 20 of 32
//
// Rows and columns outside the image are the map's zeroed halo. The order of summation is the same for every
// output pixel and channel. Layout as oneDNN's nChw16c.
//
// The accumulators must stay in registers: with a shorter expression for `lanes`, or both types of y in every
// f32 form, GCC 12 spills them and a network takes 4 to 30 % longer. Time one after any change here.
#pragma once

#include <type_traits>

#include "ops/blocked/epilogue.h"
#include "ops/blocked/product.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

// Products of `count` input channels, or pairs of them, of one tap. Step: factors between the inputs of
// neighbouring output pixels. Last: of the pair only the first channel counts.
template <class Product, int Tile, int Blocks, int Step, bool Last = false>
inline __attribute__((always_inline)) void multiply_lanes(Vec (&acc)[Tile][Blocks * kParts],
                                                          const typename Product::Factor* x,
                                                          const typename Product::Factor* w, int count,
                                                          int64_t step) {
  const int64_t pixel = Step > 0 ? Step : step;
#pragma GCC unroll 2
  for (int c = 0; c < count; ++c)
    for (int s = 0; s < Product::kSteps; ++s) {
      constexpr int kVectors = Blocks * kParts;
      decltype(Product::vector(w, s)) weights[kVectors];
      for (int b = 0; b < kVectors; ++b) weights[b] = Product::vector(w + c * kPanel + b * kFloats, s);
      for (int t = 0; t < Tile; ++t) {
        auto factor = x[t * pixel + c];
        if constexpr (Last) factor = Product::without_second(factor);
        const auto value = Product::broadcast(factor, s);
        for (int b = 0; b < kVectors; ++b) acc[t][b] = Product::multiply_add(acc[t][b], value, weights[b]);
      }
    }
}

template <class Product, int Tile, int Blocks, int Step>
void conv_tile(const ConvTask& task, int row, int column) {
  using Factor = typename Product::Factor;
  using Stored = typename Product::Stored;
  constexpr int kFactors = kBlock / Product::kLanes;  // of a pixel
  constexpr int kVectors = Blocks * kParts;
  Vec acc[Tile][kVectors];
  for (int t = 0; t < Tile; ++t)
    for (int b = 0; b < kVectors; ++b) acc[t][b] = load(task.bias + b * kFloats);

  const MapView& x = task.x;
  const int64_t step = int64_t(task.stride_w) * x.pixel / Product::kLanes;
  const auto* weight = static_cast<const Factor*>(task.weight);
  const Stored* origin = pixel_at<const Stored>(x, 0, row * task.stride_h - task.pad_h,
                                                column * task.stride_w - task.pad_w, x.pixel);
  const int64_t below = task.stride_h * x.row_stride;
  for (int block = task.block_begin; block < task.block_end; ++block) {
    const int left = x.channels - block * kBlock;
    // A pixel of the image ends in zeros: its last pair needs no masking.
    const int even =
        x.pixel == kStemPixel ? (left + Product::kLanes - 1) / Product::kLanes * Product::kLanes : left;
    const int lanes = even < kBlock ? even : kBlock;
    for (int u = 0; u < task.kernel_h; ++u) {
      const Stored* taps = origin + block * x.block_stride + int64_t(u) * task.dilation_h * x.row_stride;
      // The row that the tile below will read and this one does not: hardware sees no pattern in them.
      if (u >= task.kernel_h - task.stride_h && below > 0)
        for (int i = 0; i < Step * Tile / kBlock; ++i)
          __builtin_prefetch(taps + below + i * 64 / int(sizeof(Stored)), 0, 2);
      for (int v = 0; v < task.kernel_w; ++v) {
        const auto* at = reinterpret_cast<const Factor*>(taps + int64_t(v) * task.dilation_w * x.pixel);
        const int count = lanes / Product::kLanes;
        if (lanes == kBlock) multiply_lanes<Product, Tile, Blocks, Step>(acc, at, weight, kFactors, step);
        else multiply_lanes<Product, Tile, Blocks, Step>(acc, at, weight, count, step);
        weight += int64_t(count) * kPanel;
        if constexpr (Product::kLanes == 2)
          if (lanes % 2 == 1) {
            multiply_lanes<Product, Tile, Blocks, Step, true>(acc, at + count, weight, 1, step);
            weight += kPanel;
          }
      }
    }
  }

  const auto finish = [&](auto element) {
    for (int b = 0; b < kVectors; ++b) {
      const int block = task.out_block + b / kParts, lane = b % kParts * kFloats;
      const auto at = [&](const MapView& m, auto type) {
        return pixel_at<decltype(type)>(m, block, row, column, m.pixel) + lane;
      };
      using Residual = std::conditional_t<Product::kLanes == 1, decltype(element), Stored>;
      const Residual* residual = task.residual.data != nullptr ? at(task.residual, Residual{}) : nullptr;
      for (int t = 0; t < Tile; ++t) {
        Vec v = apply_epilogue(acc[t][b], task.epilogue, task.slope);
        if (residual != nullptr) v += load(residual + int64_t(t) * task.residual.pixel);
        store(at(task.y, element) + int64_t(t) * task.y.pixel, v);
      }
    }
  };
  if constexpr (Product::kLanes == 1 && Step >= kBlock) finish(Stored{});
  else with_element(task.y, finish);
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

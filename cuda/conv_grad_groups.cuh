// Both gradients of a convolution in groups, which has few products a pixel: operands are read from memory.
// Neighbouring threads have neighbouring channels.
#pragma once

#include "cuda/conv_wgrad.cuh"
#include "cuda/device/warp.cuh"
#include "cuda/map.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

// An operation of for_each_pack(): one channel of gx.
template <class T>
struct GroupDgrad {
  Slice<T> gy, gx;
  const T* weight;
  int weight_stride, kernel, stride, pad, in, out;  // in, out: channels of a group
  bool accumulate;

  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int) const {
    static_assert(kLanes == 1);
    const PixelPlace at = place(gx, pixel);
    const int first_k = channel / in * out;
    float sum[1] = {};
    for (int r = 0; r < kernel; ++r) {
      const int y = at.y + pad - r;
      if (y < 0 || MTYOLO_MUTANT(137, y % stride, 0) != 0 || y / stride >= gy.h) continue;
      for (int s = 0; s < kernel; ++s) {
        const int x = at.x + pad - s;
        if (x < 0 || x % stride != 0 || x / stride >= gy.w) continue;
        const T* from = gy.at(pixel_at(gy, at.n, y / stride, x / stride), first_k);
        const T* w = weight + int64_t{first_k} * weight_stride + (r * kernel + s) * in + channel % in;
        for (int k = 0; k < out; ++k) sum[0] += to_float(from[k]) * to_float(w[int64_t{k} * weight_stride]);
      }
    }
    put_sums(gx.at(pixel, channel), sum, 1, accumulate);
  }
};

constexpr int kGroupLines = 8;

// A warp adds for 32 channels of gy and one column (tap, channel of the group) every eighth of `part` lines
// of gy; the block has eight warps. The sums are stored as those of conv_wgrad_kernel. p.x.c: of a group.
template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kGroupLines* int(kWarp), 4) group_wgrad_kernel(ConvWgradArgs p, int part) {
  MTYOLO_SMEM(float, sums, [kGroupLines][kWarp]);
  const int columns = p.kernel * p.kernel * p.x.c, column = int(block_index().x) % columns;
  const int tap = column / p.x.c, row = int(warp_index()), lane = int(lane_index());
  const int k = int(block_index().x) / columns * int(kWarp) + lane;
  const int c = k / (p.gy.c / p.groups) * p.x.c + column % p.x.c;
  const int shift_y = tap / p.kernel - p.pad, shift_x = tap % p.kernel - p.pad;
  const int first_q = shift_x < 0 ? (p.stride - 1 - shift_x) / p.stride : 0;
  const int inside = shift_x < p.x.w ? (p.x.w - 1 - shift_x) / p.stride + 1 : 0;
  const int end_q = inside < p.gy.w ? inside : p.gy.w;
  const int first = int(block_index().y) * part, lines = p.gy.n * p.gy.h;
  float sum = 0;
  for (int line = first + row; line < first + part && line < lines && k < p.gy.c; line += kGroupLines) {
    const int y = line % p.gy.h * p.stride + shift_y;
    if (y < 0 || y >= p.x.h) continue;
    const int64_t from = int64_t{line / p.gy.h * p.x.h + y} * p.x.w + shift_x;
    for (int q = first_q; q < end_q; ++q)
      sum +=
          to_float(static_cast<const T*>(p.gy.data)[(int64_t{line} * p.gy.w + q) * p.gy.pixel_stride + k]) *
          to_float(static_cast<const T*>(p.x.data)[(from + q * p.stride) * p.x.pixel_stride + c]);
  }
  sums[row][lane] = sum;
  MTYOLO_MUTANT(138, sync(), void());
  if (row != 0 || k >= p.gy.c) return;
  for (int r = 1; r < MTYOLO_MUTANT(139, kGroupLines, kGroupLines - 1); ++r) sum += sums[r][lane];
  static_cast<float*>(p.workspace)[(int64_t{block_index().y} * p.gy.c + k) * partial_stride(p) + column] =
      sum;
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

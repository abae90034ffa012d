// The gradient of a convolution's bias: sums of gy over parts of the pixels, which reduce_parts_kernel adds.
#pragma once

#include "cuda/conv_grad.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/vec.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

constexpr int kBiasThreads = 256, kBiasChunks = 8, kBiasRows = kBiasThreads / kBiasChunks;

// A block sums `part` pixels of 128 bytes of channels: a thread every 32nd pixel of one chunk. The sums are
// [parts][stride].
template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kBiasThreads, 4) bias_grad_kernel(BiasGradArgs p, int part, int stride) {
  constexpr int kPack = Pack<T>::kSize, kWidth = kBiasChunks * kPack;
  MTYOLO_SMEM(float, sums, [kBiasRows][kWidth]);
  const int chunk = int(thread_index().x) % kBiasChunks, row = int(thread_index().x) / kBiasChunks;
  const int k = int(block_index().x) * kWidth + chunk * kPack, first = int(block_index().y) * part;
  const int pixels = p.gy.n * p.gy.h * p.gy.w, end = first + part < pixels ? first + part : pixels;
  float sum[kPack] = {};
  if (k < p.gy.c)
    for (int pixel = first + row; pixel < MTYOLO_MUTANT(133, end, end - 1); pixel += kBiasRows) {
      const auto pack = ld128_nc(static_cast<const T*>(p.gy.data) + int64_t{pixel} * p.gy.pixel_stride + k);
      MTYOLO_UNROLL
      for (int e = 0; e < kPack; ++e) sum[e] += to_float(pack.values[e]);
    }
  MTYOLO_UNROLL
  for (int e = 0; e < kPack; ++e) sums[row][chunk * kPack + e] = sum[e];
  MTYOLO_MUTANT(136, sync(), void());
  const int channel = int(thread_index().x), at = int(block_index().x) * kWidth + channel;
  if (channel >= kWidth || at >= stride) return;
  float total = 0;
  for (int r = 0; r < kBiasRows; ++r) total += sums[r][channel];
  static_cast<float*>(p.workspace)[int64_t{block_index().y} * stride + at] = total;
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

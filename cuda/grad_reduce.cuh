// Sums over the pixels' parts: the second kernel of the gradients of weights and biases, and the first of
// biases.
#pragma once

#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/vec.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS::grad {

// Adds partial[splits][k][partial_stride], whose columns are (tap, c), in the order of the splits.
struct ReduceParams {
  const float* partial;
  int splits, k, partial_stride, c, taps, channels;
  float* to;
  int64_t stride_k, stride_tap, stride_c;
  bool accumulate;
  int* non_finite;
};

constexpr int kReduceThreads = 128;

MTYOLO_KERNEL MTYOLO_BOUNDS(kReduceThreads, 8) reduce_parts_kernel(ReduceParams p) {
  const int64_t size = int64_t{p.k} * p.partial_stride;
  const int64_t first = (int64_t{block_index().x} * kReduceThreads + thread_index().x) * 4;
  if (first >= size) return;
  Pack<float> sum = ld128_nc(p.partial + first);
  MTYOLO_UNROLL
  for (int split = 1; split < p.splits; ++split) {
    const auto part = ld128_nc(p.partial + MTYOLO_MUTANT(127, split, p.splits - split) * size + first);
    MTYOLO_UNROLL
    for (int e = 0; e < 4; ++e) sum.values[e] += part.values[e];
  }
  const int k = int(first / p.partial_stride), column = int(first % p.partial_stride);
  bool finite = true;
  MTYOLO_UNROLL
  for (int e = 0; e < 4; ++e) {
    const int tap = (column + e) / p.c, c = (column + e) % p.c;
    if (tap >= p.taps || MTYOLO_MUTANT(129, c >= p.channels, c > p.channels)) continue;
    float* to = p.to + k * p.stride_k + tap * p.stride_tap + c * p.stride_c;
    const float value = p.accumulate ? *to + sum.values[e] : sum.values[e];
    finite = finite && (as_bits(value) & 0x7f800000u) != 0x7f800000u;
    *to = value;
  }
  if (p.non_finite != nullptr && MTYOLO_MUTANT(132, !finite, false)) atomic_max(p.non_finite, 1);
}

struct BiasParams {
  const void* gy;
  float* partial;  // [splits][partial_stride]
  int64_t stride;  // elements
  int pixels, part, k, partial_stride;
};

constexpr int kBiasThreads = 256, kBiasChunks = 8, kBiasRows = kBiasThreads / kBiasChunks;

// A block sums `part` pixels of 128 bytes of channels: a thread every 32nd pixel of one chunk.
template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kBiasThreads, 4) bias_grad_kernel(BiasParams p) {
  constexpr int kPack = Pack<T>::kSize, kWidth = kBiasChunks * kPack;
  MTYOLO_SMEM(float, sums, [kBiasRows][kWidth]);
  const int chunk = int(thread_index().x) % kBiasChunks, row = int(thread_index().x) / kBiasChunks;
  const int k = int(block_index().x) * kWidth + chunk * kPack, first = int(block_index().y) * p.part;
  const int end = first + p.part < p.pixels ? first + p.part : p.pixels;
  float sum[kPack] = {};
  if (k < p.k)
    for (int pixel = first + row; pixel < MTYOLO_MUTANT(133, end, end - 1); pixel += kBiasRows) {
      const auto pack = ld128_nc(static_cast<const T*>(p.gy) + pixel * p.stride + k);
      MTYOLO_UNROLL
      for (int e = 0; e < kPack; ++e) sum[e] += to_float(pack.values[e]);
    }
  MTYOLO_UNROLL
  for (int e = 0; e < kPack; ++e) sums[row][chunk * kPack + e] = sum[e];
  MTYOLO_MUTANT(136, sync(), void());
  const int channel = int(thread_index().x), at = int(block_index().x) * kWidth + channel;
  if (channel >= kWidth || at >= p.partial_stride) return;
  float total = 0;
  for (int r = 0; r < kBiasRows; ++r) total += sums[r][channel];
  p.partial[int64_t{block_index().y} * p.partial_stride + at] = total;
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS::grad

// From a tile of sums, laid out in shared memory as f32, to y: scale, bias, activation, residual, rounding,
// and stores in lines of 16 bytes.
#pragma once

#include <type_traits>

#include "cuda/conv_config.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/epilogue.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {

MTYOLO_DEV uint32_t divide(const FastDivide& by, uint32_t n) {
  return uint32_t((uint64_t{n} * by.multiplier) >> by.shift);
}

// Where column `column` of row `row` of the staged tile lies, in floats. The chunks of 16 bytes are permuted
// so that these meet no bank conflict: an accumulator's fragments (8-byte pairs of 4 rows by 8 columns a half
// warp), rows read 4, 8 or 16 columns a lane, and columns.
template <int kN>
MTYOLO_DEV int staged_place(int row, int column) {
  const int chunk = column / 4, r = row & 3;
  return row * kN + 4 * (chunk ^ r ^ (r << 1) ^ ((chunk >> 3) & 3)) + column % 4;
}

template <class Out>
MTYOLO_DEV Out rounded(float x, float out_scale) {
  if constexpr (std::is_same_v<Out, int8_t>) {
    x *= MTYOLO_MUTANT(100, out_scale, 1.0f);
    return Out(round_to_int(x < -128.0f ? -128.0f : x > 127.0f ? 127.0f : x));
  } else {
    return from_float<Out>(x);
  }
}

// `count` channels from n on of one pixel.
template <class Out>
MTYOLO_DEV void put(const ConvSlice& to, int64_t pixel, int n, int count, const Pack<Out>& values) {
  Out* at = reinterpret_cast<Out*>(to.data + pixel * to.pixel_bytes) + n;
  if (MTYOLO_MUTANT(117, to.aligned, true) && count >= MTYOLO_MUTANT(118, Pack<Out>::kSize, 1)) {
    st128(at, values);
  } else {
    MTYOLO_UNROLL
    for (int j = 0; j < Pack<Out>::kSize; ++j)
      if (j < count) at[j] = values.values[j];
  }
}

template <class Out>
MTYOLO_DEV Pack<Out> get(const ConvSlice& from, int64_t pixel, int n, int count) {
  const Out* at = reinterpret_cast<const Out*>(from.data + pixel * from.pixel_bytes) + n;
  if (from.aligned && count >= Pack<Out>::kSize) return ld128(at);  // may be what y replaces
  Pack<Out> values{};
  MTYOLO_UNROLL
  for (int j = 0; j < Pack<Out>::kSize; ++j)
    if (j < count) values.values[j] = at[j];
  return values;
}

// Pixel m, and its copies in the second destination.
template <class Out>
MTYOLO_DEV void put_all(const ConvParams& p, int m, int n, int count, const Pack<Out>& values) {
  put(p.y, m, n, count, values);
  if (p.second.data == nullptr) return;
  if (!p.upsample_second) return put(p.second, m, n, count, values);
  const int width = int(p.y_line.divisor), line = int(divide(p.y_line, uint32_t(m)));
  const int64_t first = int64_t{4} * width * line + 2 * (m - line * width);
  put(p.second, first, n, count, values), put(p.second, first + 1, n, count, values);
  put(p.second, first + MTYOLO_MUTANT(101, 2, 1) * width, n, count, values);
  put(p.second, first + 2 * width + 1, n, count, values);
}

// Moments of the values as they were stored, which stand in `staged`: mean, then the squares of distances
// from it.
template <int kM, int kN, int kThreads>
MTYOLO_DEV void store_moments(const ConvParams& p, const float* staged, int first_m, int first_n) {
  static_assert(kThreads % kN == 0);
  MTYOLO_SMEM(float, parts, [kThreads]);
  const int thread = int(thread_index().x), column = thread % kN;
  const int rows = MTYOLO_MUTANT(102, p.pixels - first_m < kM ? p.pixels - first_m : kM, kM);
  float totals[2] = {0, 0};
  for (int pass = 0; pass < 2; ++pass) {
    float sum = 0;
    for (int row = thread / kN; row < rows; row += kThreads / kN) {
      const float x = staged[staged_place<kN>(row, column)];
      sum += pass == 0 ? x : (x - totals[0]) * (x - totals[0]);
    }
    sync();  // the parts of the first pass have been read
    parts[thread] = sum;
    sync();
    MTYOLO_UNROLL
    for (int i = 0; i < kThreads / kN; ++i) totals[pass] += parts[column + i * kN];
    if (pass == 0) totals[0] /= float(rows);
  }
  if (thread >= kN || first_n + column >= p.channels) return;
  float* to = p.moments + int64_t{first_m / kM} * 3 * p.channels + first_n + column;
  to[0] = float(rows), to[p.channels] = totals[0], to[2 * p.channels] = totals[1];
}

// A thread has the same 16 bytes of channels of every so many rows.
template <class Out, int kM, int kN, int kThreads>
MTYOLO_DEV void store_rows(const ConvParams& p, float* staged, int first_m, int first_n) {
  constexpr int kPack = Pack<Out>::kSize, kPacks = kN / kPack;
  static_assert(kThreads % kPacks == 0);
  const int thread = int(thread_index().x) % kThreads, column = thread % kPacks * kPack, n = first_n + column;
  const int count = p.channels - n;
  const KernelEpilogue& e = p.epilogue;
  float scale[kPack], bias[kPack];
  MTYOLO_UNROLL
  for (int j = 0; j < kPack; ++j) {
    scale[j] = e.scale != nullptr && j < count ? e.scale[n + j] : 1.0f;
    bias[j] = e.bias != nullptr && j < count ? e.bias[n + j] : 0.0f;
  }
  for (int row = thread / kPacks; row < kM && first_m + row < p.pixels && count > 0;
       row += kThreads / kPacks) {
    Pack<Out> old{}, out;
    if (p.residual.data != nullptr) old = get<Out>(p.residual, first_m + row, n, count);
    MTYOLO_UNROLL
    for (int j = 0; j < kPack; j += 4) {
      float* at = staged + staged_place<kN>(row, column + j);
      Pack<float> values = ld128(at);
      MTYOLO_UNROLL
      for (int i = 0; i < 4; ++i) {
        float x = activate(e.activation, scale[j + i] * values.values[i] + bias[j + i]);
        if (p.residual.data != nullptr) x += to_float(old.values[j + i]);
        out.values[j + i] = rounded<Out>(x, e.out_scale);
        values.values[i] = to_float(out.values[j + i]);
      }
      if (p.moments != nullptr) st128(at, values);
    }
    put_all(p, first_m + row, n, count, out);
  }
  if constexpr (kThreads % kN == 0) {  // else a warp's part of a tile, without moments
    if (p.moments == nullptr) return;
    sync();
    store_moments<kM, kN, kThreads>(p, staged, first_m, first_n);
  }
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

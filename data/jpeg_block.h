// Coefficients of a JPEG to samples.
#pragma once

#include <cstddef>
#include <cstdint>

#include "data/jpeg_scan.h"

// For loops over samples. Processors without these instructions leave JPEG to libjpeg (data/jpeg_baseline.h).
#ifdef __SSE2__
#define MTYOLO_AVX2 __attribute__((target("avx2")))
#else
#define MTYOLO_AVX2
#endif

namespace mtyolo::data {

// The slow integer inverse DCT of libjpeg, to the bit. Values beyond +-kRange between the passes, which only
// damaged or made-up files have and libjpeg's C and SIMD forms treat differently, set a bit of `range` above
// it.
struct JpegTransform {
  static constexpr int kRange = 1 << 14;
  alignas(16) int16_t quant[64];
  alignas(32) int32_t range[8] = {};

  // A block of which `last` is the last place in zigzag order to 8 x 8 samples, rows `stride` apart. Clears
  // it.
  void run(JpegBlock& block, int last, uint8_t* out, size_t stride);
  bool in_range() const;
};

}  // namespace mtyolo::data

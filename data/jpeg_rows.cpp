// Plain loops that the compiler makes vectors of.
#include "data/jpeg_rows.h"

#include <algorithm>

#include "data/jpeg_block.h"
#include "data/rgb_planes.h"

namespace mtyolo::data {
namespace {

uint8_t to_byte(int16_t v) {
  v = v < 0 ? int16_t(0) : v;
  return uint8_t(v > 255 ? int16_t(255) : v);
}

// a * b / 2^16, rounded; |2a| fits 16 bits.
int16_t scale(int16_t a, int16_t b) { return int16_t((int16_t(int16_t(2 * a) * b >> 16) + 1) >> 1); }

// 3/4 of `here` and 1/4 of `next`.
MTYOLO_AVX2 void blend(const uint8_t* here, const uint8_t* next, size_t n, int round,
                       uint8_t* __restrict out) {
  for (size_t x = 0; x < n; ++x) out[x] = uint8_t(uint16_t(3 * here[x] + next[x] + round) >> 2);
}

MTYOLO_AVX2 void add(const uint8_t* here, const uint8_t* next, size_t n, uint16_t* sums) {
  for (size_t x = 0; x < n; ++x) sums[x] = uint16_t(3 * here[x] + next[x]);
}

// Each of `sums` twice, with 1/4 of the one before it and of the one after it.
MTYOLO_AVX2 void widen(const uint16_t* sums, size_t n, int before, int after, int shift,
                       uint8_t* __restrict out) {
  for (size_t x = 0; x < n; ++x) {
    const int three = 3 * sums[x];
    out[2 * x] = uint8_t(uint16_t(three + sums[ptrdiff_t(x) - 1] + before) >> shift);
    out[2 * x + 1] = uint8_t(uint16_t(three + sums[x + 1] + after) >> shift);
  }
}

// R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb with factors of 16 bits.
MTYOLO_AVX2 void to_rgb(const uint8_t* luma, const uint8_t* cb, const uint8_t* cr, size_t n,
                        uint8_t* __restrict r, uint8_t* __restrict g, uint8_t* __restrict b) {
  for (size_t x = 0; x < n; ++x) {
    const auto y = int16_t(luma[x]), u = int16_t(cb[x] - 128), v = int16_t(cr[x] - 128);
    r[x] = to_byte(int16_t(y + v + scale(v, 26345)));
    g[x] = to_byte(int16_t(y + int16_t((u * -22554 + v * -46802 + (1 << 15)) >> 16)));
    b[x] = to_byte(int16_t(y + 2 * u + scale(u, -14942)));
  }
}

}  // namespace

JpegRows::JpegRows(int width, int chroma_width, bool half_x, bool half_y)
    : width_(size_t(width)), chroma_width_(size_t(chroma_width)), half_x_(half_x), half_y_(half_y) {
  sums_.resize(chroma_width_ + 2);
  for (auto& c : chroma_) c.resize(chroma_width_ * 2);
  for (auto& c : rgb_) c.resize(width_);
}

const uint8_t* JpegRows::upsample(const Samples& samples, size_t c) {
  const uint8_t *here = samples.chroma[c], *next = samples.next[c];
  uint8_t* out = chroma_[c].data();
  const size_t n = chroma_width_;
  if (!half_x_ && !half_y_) return here;
  if (!half_x_) {
    blend(here, next, n, samples.lower ? 2 : 1, out);
    return out;
  }
  uint16_t* sums = sums_.data() + 1;
  if (half_y_) add(here, next, n, sums);
  else std::copy_n(here, n, sums);
  sums[-1] = sums[0];
  sums[n] = sums[n - 1];
  if (half_y_) widen(sums, n, 8, 7, 4, out);
  else widen(sums, n, 1, 2, 2, out);
  return out;
}

void JpegRows::colour(const Samples& samples, uint8_t* pixels) {
  const uint8_t *cb = upsample(samples, 0), *cr = upsample(samples, 1);
  to_rgb(samples.luma, cb, cr, width_, rgb_[0].data(), rgb_[1].data(), rgb_[2].data());
  const uint8_t* const rgb[3] = {rgb_[0].data(), rgb_[1].data(), rgb_[2].data()};
  join_rgb(rgb, width_, pixels);
}

void JpegRows::grey(const uint8_t* luma, uint8_t* pixels) const {
  const uint8_t* const rgb[3] = {luma, luma, luma};
  join_rgb(rgb, width_, pixels);
}

}  // namespace mtyolo::data

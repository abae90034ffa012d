#include "data/augment/hsv.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "data/rgb_planes.h"

namespace mtyolo::data {
namespace {

using Table = std::array<int, 256>;

// round((numerator << 12) / (factor * i)), 0 at 0.
Table make_division_table(int numerator, int factor) {
  Table table{};
  for (int i = 1; i < 256; ++i)
    table[size_t(i)] = int(std::nearbyint(double(numerator << 12) / (factor * i)));
  return table;
}
const Table kSaturationDivision = make_division_table(255, 1), kHueDivision = make_division_table(180, 6);

struct JitterTables {
  Table hue, saturation, value;
};

constexpr int kChunk = 256;  // pixels handled together: the steps below are loops over arrays in cache

struct Chunk {
  uint8_t r[kChunk], g[kChunk], b[kChunk];
  int hue[kChunk], saturation[kChunk], value[kChunk];
  uint8_t spread[kChunk], highest[kChunk];
  int per_value[kChunk], per_spread[kChunk];
};

// Hue 0..179, saturation and value 0..255 of r, g, b.
[[gnu::always_inline]] inline void to_hsv(Chunk& c, int n) {
  for (int i = 0; i < n; ++i) {
    const uint8_t r = c.r[i], g = c.g[i], b = c.b[i];
    const uint8_t high = r > g ? r : g, low = r < g ? r : g;
    c.highest[i] = high > b ? high : b;
    c.spread[i] = uint8_t(c.highest[i] - (low < b ? low : b));
  }
  for (int i = 0; i < n; ++i) {
    c.per_value[i] = kSaturationDivision[c.highest[i]];
    c.per_spread[i] = kHueDivision[c.spread[i]];
  }
  for (int i = 0; i < n; ++i) {
    const int r = c.r[i], g = c.g[i], b = c.b[i], v = c.highest[i], d = c.spread[i];
    const int is_r = -int(v == r), is_g = -int(v == g) & ~is_r, is_b = ~(is_r | is_g);
    const int side = (is_r & (g - b)) | (is_g & (b - r + 2 * d)) | (is_b & (r - g + 4 * d));
    const int hue = (side * c.per_spread[i] + 2048) >> 12;
    c.hue[i] = hue + (hue >> 31 & 180);
    c.saturation[i] = (d * c.per_value[i] + 2048) >> 12;
  }
}

// OpenCV computes a * b + c with one rounding; in double the product is exact, on any machine.
[[gnu::always_inline]] inline float one_minus_product(float a, float b) {
  return float(1.0 - double(a) * double(b));
}

[[gnu::always_inline]] inline void to_rgb(Chunk& c, int n) {
  for (int i = 0; i < n; ++i) {
    const float hue = float(c.hue[i]) * float(6.0 / 180), s = float(c.saturation[i]) * float(1.0 / 255);
    const float v = float(c.value[i]) * float(1.0 / 255);
    const int sector = int(hue);
    const float f = hue - float(sector), odd = float(sector & 1);
    const float along = odd * f + (1 - odd) * (1 - f);  // f in odd sectors, 1 - f in even ones
    const int high = int(v * 255), low = int(v * (1 - s) * 255);
    const int middle = int(v * one_minus_product(s, along) * 255);
    // Which of the three each colour takes, by sector; masks and sums, since branches keep loops from
    // vectors.
    const int e0 = -int(sector == 0), e1 = -int(sector == 1), e2 = -int(sector == 2);
    const int e3 = -int(sector == 3), e4 = -int(sector == 4), e5 = -int(sector == 5);
    c.hue[i] = (high & (e0 | e5)) | (middle & (e1 | e4)) | (low & (e2 | e3));
    c.saturation[i] = (high & (e1 | e2)) | (middle & (e0 | e3)) | (low & (e4 | e5));
    c.value[i] = (high & (e3 | e4)) | (middle & (e2 | e5)) | (low & (e0 | e1));
  }
  for (int i = 0; i < n; ++i) {
    c.r[i] = uint8_t(c.hue[i]);
    c.g[i] = uint8_t(c.saturation[i]);
    c.b[i] = uint8_t(c.value[i]);
  }
}

[[gnu::always_inline]] inline void jitter_chunk(Chunk& c, int n, const JitterTables& tables) {
  to_hsv(c, n);
  for (int i = 0; i < n; ++i) {
    c.hue[i] = tables.hue[size_t(c.hue[i])];
    c.saturation[i] = tables.saturation[size_t(c.saturation[i])];
    c.value[i] = tables.value[c.highest[i]];
  }
  to_rgb(c, n);
}

void jitter_chunk_baseline(Chunk& c, int n, const JitterTables& tables) { jitter_chunk(c, n, tables); }
#ifdef __SSE2__
__attribute__((target("avx2"))) void jitter_chunk_avx2(Chunk& c, int n, const JitterTables& tables) {
  jitter_chunk(c, n, tables);
}
#endif

}  // namespace

HsvDraws draw_hsv(const AugmentParams& p, RandomStream& random) {
  HsvDraws draws;
  draws.hue = random.uniform(-1, 1) * p.hsv_h + 1;
  draws.saturation = random.uniform(-1, 1) * p.hsv_s + 1;
  draws.value = random.uniform(-1, 1) * p.hsv_v + 1;
  return draws;
}

void jitter_hsv(Image& image, const HsvDraws& draws) {
  JitterTables tables;
  for (size_t i = 0; i < 256; ++i) {
    const double x = double(i);
    const double hue = std::fmod(x * draws.hue, 180);  // a factor below 0 turns the other way
    tables.hue[i] = std::min(179, int(hue < 0 ? hue + 180 : hue));
    tables.saturation[i] = int(std::clamp(x * draws.saturation, 0.0, 255.0));
    tables.value[i] = int(std::clamp(x * draws.value, 0.0, 255.0));
  }
  auto* jitter = &jitter_chunk_baseline;
#ifdef __SSE2__
  if (__builtin_cpu_supports("avx2")) jitter = &jitter_chunk_avx2;
#endif
  const size_t pixels = image.pixels.size() / 3;
  Chunk chunk;
  uint8_t* const planes[3] = {chunk.r, chunk.g, chunk.b};
  for (size_t at = 0; at < pixels; at += kChunk) {
    const size_t count = std::min<size_t>(kChunk, pixels - at);
    split_rgb(image.pixels.data() + at * 3, count, planes);
    jitter(chunk, int(count), tables);
    join_rgb(planes, count, image.pixels.data() + at * 3);
  }
}

}  // namespace mtyolo::data

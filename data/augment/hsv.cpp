#include "data/augment/hsv.h"

#include <algorithm>
#include <array>
#include <cmath>

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
  int r[kChunk], g[kChunk], b[kChunk];  // then hue, saturation, value
  int spread[kChunk], per_value[kChunk], per_spread[kChunk];
};

// r, g, b become hue 0..179, saturation and value 0..255.
[[gnu::always_inline]] inline void to_hsv(Chunk& c, int n) {
  for (int i = 0; i < n; ++i)
    c.spread[i] = std::max({c.r[i], c.g[i], c.b[i]}) - std::min({c.r[i], c.g[i], c.b[i]});
  for (int i = 0; i < n; ++i) {
    c.per_value[i] = kSaturationDivision[size_t(std::max({c.r[i], c.g[i], c.b[i]}))];
    c.per_spread[i] = kHueDivision[size_t(c.spread[i])];
  }
  for (int i = 0; i < n; ++i) {
    const int r = c.r[i], g = c.g[i], b = c.b[i], v = std::max({r, g, b}), d = c.spread[i];
    const int side = v == r ? g - b : v == g ? b - r + 2 * d : r - g + 4 * d;
    const int hue = (side * c.per_spread[i] + 2048) >> 12;
    c.r[i] = hue < 0 ? hue + 180 : hue;
    c.g[i] = (d * c.per_value[i] + 2048) >> 12;
    c.b[i] = v;
  }
}

// OpenCV computes a * b + c with one rounding; in double the product is exact, on any machine.
[[gnu::always_inline]] inline float one_minus_product(float a, float b) {
  return float(1.0 - double(a) * double(b));
}

[[gnu::always_inline]] inline void to_rgb(Chunk& c, int n) {
  for (int i = 0; i < n; ++i) {
    const float hue = float(c.r[i]) * float(6.0 / 180), s = float(c.g[i]) * float(1.0 / 255);
    const float v = float(c.b[i]) * float(1.0 / 255);
    const int sector = int(hue);
    const float f = hue - float(sector);
    const int t0 = int(v * 255), t1 = int(v * (1 - s) * 255);
    const int t2 = int(v * one_minus_product(s, f) * 255);
    const int t3 = int(v * one_minus_product(s, 1 - f) * 255);
    c.r[i] = sector == 0 || sector == 5 ? t0 : sector == 1 ? t2 : sector == 4 ? t3 : t1;
    c.g[i] = sector == 1 || sector == 2 ? t0 : sector == 0 ? t3 : sector == 3 ? t2 : t1;
    c.b[i] = sector == 3 || sector == 4 ? t0 : sector == 2 ? t3 : sector == 5 ? t2 : t1;
  }
}

[[gnu::always_inline]] inline void jitter_chunk(uint8_t* pixels, int n, const JitterTables& tables) {
  Chunk c;
  for (int i = 0; i < n; ++i) {
    c.r[i] = pixels[3 * i];
    c.g[i] = pixels[3 * i + 1];
    c.b[i] = pixels[3 * i + 2];
  }
  to_hsv(c, n);
  for (int i = 0; i < n; ++i) {
    c.r[i] = tables.hue[size_t(c.r[i])];
    c.g[i] = tables.saturation[size_t(c.g[i])];
    c.b[i] = tables.value[size_t(c.b[i])];
  }
  to_rgb(c, n);
  for (int i = 0; i < n; ++i) {
    pixels[3 * i] = uint8_t(c.r[i]);
    pixels[3 * i + 1] = uint8_t(c.g[i]);
    pixels[3 * i + 2] = uint8_t(c.b[i]);
  }
}

void jitter_chunk_baseline(uint8_t* pixels, int n, const JitterTables& tables) {
  jitter_chunk(pixels, n, tables);
}
#ifdef __SSE2__
__attribute__((target("avx2"))) void jitter_chunk_avx2(uint8_t* pixels, int n, const JitterTables& tables) {
  jitter_chunk(pixels, n, tables);
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
  for (size_t at = 0; at < pixels; at += kChunk)
    jitter(image.pixels.data() + at * 3, int(std::min<size_t>(kChunk, pixels - at)), tables);
}

}  // namespace mtyolo::data

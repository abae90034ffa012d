// Bilinear resizing of 8-bit RGB in OpenCV's fixed point (data.md 3.1). Each source row that is needed is
// resized once along x into 16-bit values (H >> 4), then pairs of such rows are mixed along y:
//   H = S[i]*a0 + S[i+1]*a1                          a0 + a1 = 2048, H <= 255 * 2048, so H >> 4 fits 15 bits
//   out = (b0*(H0 >> 4) >> 16) + (b1*(H1 >> 4) >> 16) + 2 >> 2
#include <algorithm>
#include <cmath>
#include <utility>

#include "data/resize.h"
#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace mtyolo::data {
namespace {

// Taps of one output coordinate: source indices and weights of 2048.
struct Tap {
  int first = 0, second = 0;
  int16_t weight_first = 0, weight_second = 0;
  int32_t both_weights = 0;  // the second in the high half
};

enum class Axis { kColumns, kRows };

std::vector<Tap> make_taps(int source, int target, Axis axis) {
  const double scale = 1.0 / (double(target) / source);
  std::vector<Tap> taps(size_t(target), Tap{});
  for (int d = 0; d < target; ++d) {
    float f = float((d + 0.5) * scale - 0.5);
    int i = int(std::floor(f));
    f -= float(i);
    if (axis == Axis::kColumns && i < 0) i = 0, f = 0;
    if (axis == Axis::kColumns && i >= source - 1) i = source - 1, f = 0;
    Tap& t = taps[size_t(d)];
    t.first = std::clamp(i, 0, source - 1);
    t.second = std::clamp(i + 1, 0, source - 1);
    t.weight_first = int16_t(std::lrint((1.0f - f) * 2048.0f));
    t.weight_second = int16_t(std::lrint(f * 2048.0f));
    t.both_weights = t.weight_first | t.weight_second << 16;
  }
  return taps;
}

void mix_pixel(const uint8_t* row, const Tap& t, int16_t* out) {
  const uint8_t *a = row + t.first * 3, *b = row + t.second * 3;
  for (int c = 0; c < 3; ++c) out[c] = int16_t((a[c] * t.weight_first + b[c] * t.weight_second) >> 4);
}

#ifdef __SSE2__
// Two pixels at a time, as mix_columns below does one; returns how many were done.
__attribute__((target("avx2"))) size_t mix_columns_avx2(const uint8_t* row, int width,
                                                        const std::vector<Tap>& taps, int16_t* out) {
  // Sixteen-bit r0 g0 b0 r1 g1 b1 . . as r0 r1 g0 g1 b0 b1 . ., in each half.
  const __m256i order =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1));
  size_t d = 0;
  for (; d + 1 < taps.size() && taps[d + 1].first * 3 + 8 <= width * 3; d += 2, out += 6) {
    const Tap &a = taps[d], &b = taps[d + 1];
    const __m128i first = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + a.first * 3));
    const __m128i second = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + b.first * 3));
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(first, second));
    const __m256i weights =
        _mm256_inserti128_si256(_mm256_set1_epi32(a.both_weights), _mm_set1_epi32(b.both_weights), 1);
    const __m256i sums = _mm256_srai_epi32(_mm256_madd_epi16(_mm256_shuffle_epi8(wide, order), weights), 4);
    const __m256i mixed = _mm256_packs_epi32(sums, sums);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(mixed));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 3), _mm256_extracti128_si256(mixed, 1));
  }
  return d;
}
#endif

// One row along x. `out` holds 3 * taps.size() values and one spare.
void mix_columns(const uint8_t* row, int width, const std::vector<Tap>& taps, int16_t* out) {
  size_t d = 0;
#ifdef __SSE2__
  static const bool has_avx2 = __builtin_cpu_supports("avx2");
  if (has_avx2) d = mix_columns_avx2(row, width, taps, out);
  out += 3 * d;
  // Eight bytes hold both pixels: r0 g0 b0 r1 g1 b1 . .; interleaved as r0 r1 g0 g1 b0 b1 one multiply-add
  // gives all three sums. Only where eight bytes can be read and the two pixels are neighbours.
  const __m128i zero = _mm_setzero_si128();
  for (; d < taps.size() && taps[d].first * 3 + 8 <= width * 3; ++d, out += 3) {
    const Tap& t = taps[d];
    const auto* at = reinterpret_cast<const __m128i*>(row + t.first * 3);
    const __m128i both = _mm_unpacklo_epi8(_mm_loadl_epi64(at), zero);
    const __m128i pairs = _mm_unpacklo_epi16(both, _mm_srli_si128(both, 6));
    const __m128i weights = _mm_set1_epi32(t.both_weights);
    const __m128i sums = _mm_srai_epi32(_mm_madd_epi16(pairs, weights), 4);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packs_epi32(sums, sums));
  }
#else
  static_cast<void>(width);
#endif
  for (; d < taps.size(); ++d, out += 3) mix_pixel(row, taps[d], out);
}

void mix_rows(const int16_t* first, const int16_t* second, const Tap& t, int count, uint8_t* out) {
  int i = 0;
#ifdef __SSE2__
  const __m128i b0 = _mm_set1_epi16(t.weight_first), b1 = _mm_set1_epi16(t.weight_second),
                two = _mm_set1_epi16(2);
  const auto mix = [&](int at) {
    const __m128i x = _mm_mulhi_epi16(b0, _mm_loadu_si128(reinterpret_cast<const __m128i*>(first + at)));
    const __m128i y = _mm_mulhi_epi16(b1, _mm_loadu_si128(reinterpret_cast<const __m128i*>(second + at)));
    return _mm_srai_epi16(_mm_add_epi16(_mm_add_epi16(x, y), two), 2);
  };
  for (; i + 16 <= count; i += 16)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_packus_epi16(mix(i), mix(i + 8)));
#endif
  for (; i < count; ++i) {
    const int v = ((t.weight_first * first[i]) >> 16) + ((t.weight_second * second[i]) >> 16);
    out[i] = uint8_t(std::clamp((v + 2) >> 2, 0, 255));
  }
}

// Half the size exactly: OpenCV takes the rounded mean of 2 x 2.
void halve(const Image& image, const PixelWindow& to) {
  for (int y = 0; y < to.height; ++y) {
    const uint8_t *a = image.row(2 * y), *b = image.row(2 * y + 1);
    uint8_t* out = to.row(y);
    int x = 0;
#ifdef __SSE2__
    const __m128i zero = _mm_setzero_si128(), two = _mm_set1_epi16(2);
    // Eight bytes read per row, four written: stops before either leaves its row.
    for (; x < to.width - 1; ++x) {
      const __m128i p = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a + 6 * x)), zero);
      const __m128i q = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + 6 * x)), zero);
      const __m128i column = _mm_add_epi16(p, q);
      const __m128i sum = _mm_add_epi16(_mm_add_epi16(column, _mm_srli_si128(column, 6)), two);
      const __m128i mean = _mm_srli_epi16(sum, 2);
      const int four = _mm_cvtsi128_si32(_mm_packus_epi16(mean, mean));
      std::copy_n(reinterpret_cast<const uint8_t*>(&four), 4, out + 3 * x);
    }
#endif
    for (; x < to.width; ++x)
      for (int c = 0; c < 3; ++c) {
        const int i = 6 * x + c;
        out[3 * x + c] = uint8_t((a[i] + a[i + 3] + b[i] + b[i + 3] + 2) >> 2);
      }
  }
}

bool is_half(const Image& image, const PixelWindow& to) {
  return to.width * 2 == image.width && to.height * 2 == image.height;
}

void copy_rows(const Image& image, const PixelWindow& to) {
  for (int y = 0; y < to.height; ++y) std::copy_n(image.row(y), size_t(image.width) * 3, to.row(y));
}

// A source row already resized along x.
struct MixedRow {
  int index = -1;
  std::vector<int16_t> values;
};

}  // namespace

void resize_linear_into(const Image& image, const PixelWindow& to) {
  if (to.width == image.width && to.height == image.height) return copy_rows(image, to);
  if (is_half(image, to)) return halve(image, to);
  const std::vector<Tap> columns = make_taps(image.width, to.width, Axis::kColumns);
  const std::vector<Tap> rows = make_taps(image.height, to.height, Axis::kRows);
  MixedRow first, second;
  for (MixedRow* r : {&first, &second}) r->values.resize(size_t(to.width) * 3 + 1);
  const auto fill = [&](MixedRow& r, int index) {
    if (r.index == index) return;
    mix_columns(image.row(index), image.width, columns, r.values.data());
    r.index = index;
  };
  for (int y = 0; y < to.height; ++y) {
    const Tap& t = rows[size_t(y)];
    if (second.index == t.first) std::swap(first, second);
    fill(first, t.first);
    fill(second, t.second);
    mix_rows(first.values.data(), second.values.data(), t, to.width * 3, to.row(y));
  }
}

void resize_linear_reference(const Image& image, const PixelWindow& to) {
  if (to.width == image.width && to.height == image.height) return copy_rows(image, to);
  const std::vector<Tap> columns = make_taps(image.width, to.width, Axis::kColumns);
  const std::vector<Tap> rows = make_taps(image.height, to.height, Axis::kRows);
  for (int y = 0; y < to.height; ++y)
    for (int i = 0; i < to.width * 3; ++i) {
      const int x = i / 3, c = i % 3;
      const Tap &tx = columns[size_t(x)], &ty = rows[size_t(y)];
      const uint8_t *a = image.row(ty.first) + c, *b = image.row(ty.second) + c;
      if (is_half(image, to)) {
        to.row(y)[i] = uint8_t((a[6 * x] + a[6 * x + 3] + b[6 * x] + b[6 * x + 3] + 2) >> 2);
        continue;
      }
      const int h0 = a[3 * tx.first] * tx.weight_first + a[3 * tx.second] * tx.weight_second;
      const int h1 = b[3 * tx.first] * tx.weight_first + b[3 * tx.second] * tx.weight_second;
      const int v = ((ty.weight_first * (h0 >> 4)) >> 16) + ((ty.weight_second * (h1 >> 4)) >> 16);
      to.row(y)[i] = uint8_t(std::clamp((v + 2) >> 2, 0, 255));
    }
}

Image resize_linear(const Image& image, int width, int height) {
  MTYOLO_CHECK(image.width > 0 && image.height > 0 && width > 0 && height > 0,
               "resize_linear: {} x {} to {} x {}, sides must be at least 1", image.width, image.height,
               width, height);
  Image out(width, height);
  resize_linear_into(image, {out.pixels.data(), width, height, size_t(width) * 3});
  return out;
}

}  // namespace mtyolo::data

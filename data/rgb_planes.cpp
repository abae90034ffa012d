#include "data/rgb_planes.h"

#include <array>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace mtyolo::data {
namespace {

#ifdef __SSE2__
using Order = std::array<int8_t, 16>;

// Bytes of part 0..2 of 16 pixels that belong to colour c, at the pixel's place; 0 elsewhere.
constexpr Order split_order(int c, int part) {
  Order order{};
  for (int i = 0; i < 16; ++i) {
    const int byte = 3 * i + c - 16 * part;
    order[size_t(i)] = int8_t(byte >= 0 && byte < 16 ? byte : -1);
  }
  return order;
}

// The other way: values of colour c at their bytes of part 0..2.
constexpr Order join_order(int c, int part) {
  Order order{};
  for (int i = 0; i < 16; ++i) {
    const int byte = 16 * part + i;
    order[size_t(i)] = int8_t(byte % 3 == c ? byte / 3 : -1);
  }
  return order;
}

using Orders = std::array<std::array<Order, 3>, 3>;  // [result][source]

constexpr Orders kSplit = [] {
  Orders orders{};
  for (int c = 0; c < 3; ++c)
    for (int part = 0; part < 3; ++part) orders[size_t(c)][size_t(part)] = split_order(c, part);
  return orders;
}();
constexpr Orders kJoin = [] {
  Orders orders{};
  for (int part = 0; part < 3; ++part)
    for (int c = 0; c < 3; ++c) orders[size_t(part)][size_t(c)] = join_order(c, part);
  return orders;
}();

__attribute__((target("avx2"), always_inline)) inline void shuffle_three(const __m128i in[3],
                                                                         const Orders& orders,
                                                                         __m128i out[3]) {
  for (size_t i = 0; i < 3; ++i) {
    out[i] = _mm_setzero_si128();
    for (size_t j = 0; j < 3; ++j) {
      const __m128i order = _mm_loadu_si128(reinterpret_cast<const __m128i*>(orders[i][j].data()));
      out[i] = _mm_or_si128(out[i], _mm_shuffle_epi8(in[j], order));
    }
  }
}

// Both return how many pixels were done.
__attribute__((target("avx2"))) size_t split_avx2(const uint8_t* pixels, size_t count,
                                                  uint8_t* const planes[3]) {
  size_t x = 0;
  for (; x + 16 <= count; x += 16) {
    __m128i in[3], out[3];
    for (size_t p = 0; p < 3; ++p)
      in[p] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels + 3 * x + 16 * p));
    shuffle_three(in, kSplit, out);
    for (size_t c = 0; c < 3; ++c) _mm_storeu_si128(reinterpret_cast<__m128i*>(planes[c] + x), out[c]);
  }
  return x;
}

__attribute__((target("avx2"))) size_t join_avx2(const uint8_t* const planes[3], size_t count,
                                                 uint8_t* pixels) {
  size_t x = 0;
  for (; x + 16 <= count; x += 16) {
    __m128i in[3], out[3];
    for (size_t c = 0; c < 3; ++c) in[c] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes[c] + x));
    shuffle_three(in, kJoin, out);
    for (size_t p = 0; p < 3; ++p)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(pixels + 3 * x + 16 * p), out[p]);
  }
  return x;
}
#endif

}  // namespace

void split_rgb(const uint8_t* pixels, size_t count, uint8_t* const planes[3]) {
  size_t x = 0;
#ifdef __SSE2__
  if (__builtin_cpu_supports("avx2")) x = split_avx2(pixels, count, planes);
#endif
  for (; x < count; ++x)
    for (size_t c = 0; c < 3; ++c) planes[c][x] = pixels[3 * x + c];
}

void join_rgb(const uint8_t* const planes[3], size_t count, uint8_t* pixels) {
  size_t x = 0;
#ifdef __SSE2__
  if (__builtin_cpu_supports("avx2")) x = join_avx2(planes, count, pixels);
#endif
  for (; x < count; ++x)
    for (size_t c = 0; c < 3; ++c) pixels[3 * x + c] = planes[c][x];
}

}  // namespace mtyolo::data

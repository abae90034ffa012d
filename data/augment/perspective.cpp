#include "data/augment/perspective.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/error.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace mtyolo::data {
namespace {

Matrix3 multiply(const Matrix3& a, const Matrix3& b) {
  Matrix3 c{};
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j)
      for (size_t k = 0; k < 3; ++k) c[i * 3 + j] += a[i * 3 + k] * b[k * 3 + j];
  return c;
}

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

// Zero where there is no inverse, as warpAffine does.
Matrix3 inverse(const Matrix3& m) {
  const double c0 = m[4] * m[8] - m[5] * m[7], c1 = m[5] * m[6] - m[3] * m[8], c2 = m[3] * m[7] - m[4] * m[6];
  const double det = m[0] * c0 + m[1] * c1 + m[2] * c2, d = det == 0 ? 0 : 1 / det;
  return {c0 * d, (m[2] * m[7] - m[1] * m[8]) * d, (m[1] * m[5] - m[2] * m[4]) * d,
          c1 * d, (m[0] * m[8] - m[2] * m[6]) * d, (m[2] * m[3] - m[0] * m[5]) * d,
          c2 * d, (m[1] * m[6] - m[0] * m[7]) * d, (m[0] * m[4] - m[1] * m[3]) * d};
}

constexpr int kChunk = 256;  // pixels of a row whose source places are computed together

struct Places {
  float x[kChunk], y[kChunk];
};

void find_places(const std::array<float, 9>& m, bool projective, int x0, int y, int count, Places& places) {
  for (int i = 0; i < count; ++i) {
    places.x[i] = float(x0 + i) * m[0] + float(y) * m[1] + m[2];
    places.y[i] = float(x0 + i) * m[3] + float(y) * m[4] + m[5];
  }
  if (!projective) return;
  for (int i = 0; i < count; ++i) {
    const float w = float(x0 + i) * m[6] + float(y) * m[7] + m[8];
    places.x[i] /= w;
    places.y[i] /= w;
  }
}

// Any place; taps outside the image are grey. Not a number is outside.
void mix_checked(const Image& image, float sx, float sy, uint8_t* out) {
  if (!(sx > -1 && sx < float(image.width) && sy > -1 && sy < float(image.height))) {
    std::fill_n(out, 3, kPadValue);
    return;
  }
  const float fx0 = std::floor(sx), fy0 = std::floor(sy);
  const float fx = sx - fx0, fy = sy - fy0;
  const int x = int(fx0), y = int(fy0);
  for (int c = 0; c < 3; ++c) {
    const auto tap = [&](int ty, int tx) {
      const bool inside = tx >= 0 && tx < image.width && ty >= 0 && ty < image.height;
      return float(inside ? image.row(ty)[tx * 3 + c] : kPadValue);
    };
    const float top = tap(y, x) + (tap(y, x + 1) - tap(y, x)) * fx;
    const float bottom = tap(y + 1, x) + (tap(y + 1, x + 1) - tap(y + 1, x)) * fx;
    out[c] = uint8_t(std::nearbyint(top + (bottom - top) * fy));
  }
}

#ifdef __SSE2__
__attribute__((target("avx2"), always_inline)) inline __m128 load_pixel(const uint8_t* pixel) {
  int four;
  std::memcpy(&four, pixel, 4);
  return _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)));
}

// The same arithmetic on the three colours at once; a fourth byte beside each pixel is read and dropped, so
// the last two columns go the checked way. Not compiled for FMA: the bits stay those of mix_checked.
__attribute__((target("avx2"))) void mix_row_avx2(const Image& image, const Places& places, int count,
                                                  uint8_t* out) {
  const float right = float(image.width - 2), lowest = float(image.height - 1);
  const size_t stride = size_t(image.width) * 3;
  const __m128i gather = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  for (int i = 0; i < count; ++i, out += 3) {
    const float sx = places.x[i], sy = places.y[i];
    if (!(sx >= 0 && sx < right && sy >= 0 && sy < lowest)) {
      mix_checked(image, sx, sy, out);
      continue;
    }
    const int x = int(sx), y = int(sy);
    const uint8_t* p = image.pixels.data() + size_t(y) * stride + size_t(x) * 3;
    const __m128 fx = _mm_set1_ps(sx - float(x)), fy = _mm_set1_ps(sy - float(y));
    const __m128 a = load_pixel(p), b = load_pixel(p + 3);
    const __m128 c = load_pixel(p + stride), d = load_pixel(p + stride + 3);
    const __m128 top = _mm_add_ps(a, _mm_mul_ps(_mm_sub_ps(b, a), fx));
    const __m128 bottom = _mm_add_ps(c, _mm_mul_ps(_mm_sub_ps(d, c), fx));
    const __m128i v = _mm_cvtps_epi32(_mm_add_ps(top, _mm_mul_ps(_mm_sub_ps(bottom, top), fy)));
    const int bytes = _mm_cvtsi128_si32(_mm_shuffle_epi8(v, gather));
    std::memcpy(out, &bytes, 3);
  }
}
#endif

void mix_row(const Image& image, const Places& places, int count, uint8_t* out) {
#ifdef __SSE2__
  static const bool has_avx2 = __builtin_cpu_supports("avx2");
  if (has_avx2) return mix_row_avx2(image, places, count, out);
#endif
  for (int i = 0; i < count; ++i) mix_checked(image, places.x[i], places.y[i], out + 3 * i);
}

std::array<double, 2> transform(const Matrix3& m, bool projective, double x, double y) {
  const double tx = m[0] * x + m[1] * y + m[2], ty = m[3] * x + m[4] * y + m[5];
  if (!projective) return {tx, ty};
  const double w = m[6] * x + m[7] * y + m[8];
  return {tx / w, ty / w};
}

struct Bounds {
  double x1 = INFINITY, y1 = INFINITY, x2 = -INFINITY, y2 = -INFINITY;
  void add(const std::array<double, 2>& p) {
    x1 = std::min(x1, p[0]);
    y1 = std::min(y1, p[1]);
    x2 = std::max(x2, p[0]);
    y2 = std::max(y2, p[1]);
  }
};

Bounds follow_corners(const PixelLabel& l, const Matrix3& m, bool projective, int width, int height) {
  Bounds box;
  for (const float x : {l.x1, l.x2})
    for (const float y : {l.y1, l.y2}) box.add(transform(m, projective, x, y));
  const double w = width, h = height;
  return {std::clamp(box.x1, 0.0, w), std::clamp(box.y1, 0.0, h), std::clamp(box.x2, 0.0, w),
          std::clamp(box.y2, 0.0, h)};
}

// 1000 points evenly spread over the point numbers of the closed polygon; those outside are left out.
Bounds follow_polygon(const PixelLabel& l, const Matrix3& m, bool projective, int width, int height) {
  constexpr int kPoints = 1000;
  const size_t n = l.polygon.size();
  Bounds box;
  for (int i = 0; i < kPoints; ++i) {
    const double at = double(n) * i / (kPoints - 1);
    const size_t first = std::min(size_t(at), n - 1);
    const double f = at - double(first);
    const Point &a = l.polygon[first], &b = l.polygon[(first + 1) % n];
    const auto p = transform(m, projective, a.x + (b.x - a.x) * f, a.y + (b.y - a.y) * f);
    if (p[0] >= 0 && p[0] <= width && p[1] >= 0 && p[1] <= height) box.add(p);
  }
  return box.x1 <= box.x2 ? box : Bounds{0, 0, 0, 0};
}

// The candidate test of data.md 7.3, on sizes before and after.
bool is_left(const PixelLabel& before, const PixelLabel& after, double scale, double least_area) {
  constexpr double kSide = 2, kAspect = 20, kEps = 1e-16;
  const double w1 = before.x2 - before.x1, h1 = before.y2 - before.y1;
  const double w2 = after.x2 - after.x1, h2 = after.y2 - after.y1;
  return w2 > kSide && h2 > kSide && w2 * h2 / (w1 * h1 * scale * scale + kEps) > least_area &&
         std::max(w2 / (h2 + kEps), h2 / (w2 + kEps)) < kAspect;
}

}  // namespace

PerspectiveDraws draw_perspective(const AugmentParams& p, RandomStream& random) {
  PerspectiveDraws d;
  d.perspective_x = random.uniform(-p.perspective, p.perspective);
  d.perspective_y = random.uniform(-p.perspective, p.perspective);
  d.angle = random.uniform(-p.degrees, p.degrees);
  d.scale = random.uniform(1 - p.scale, 1.1 + p.scale);  // 1.1: kept as in the reference
  d.shear_x = random.uniform(-p.shear, p.shear);
  d.shear_y = random.uniform(-p.shear, p.shear);
  d.translate_x = random.uniform(0.5 - p.translate, 0.5 + p.translate);
  d.translate_y = random.uniform(0.5 - p.translate, 0.5 + p.translate);
  return d;
}

Matrix3 perspective_matrix(const PerspectiveDraws& d, int width, int height, int out_width, int out_height) {
  const Matrix3 centre{1, 0, -width / 2.0, 0, 1, -height / 2.0, 0, 0, 1};
  const Matrix3 perspective{1, 0, 0, 0, 1, 0, d.perspective_x, d.perspective_y, 1};
  const double c = d.scale * std::cos(radians(d.angle)), s = d.scale * std::sin(radians(d.angle));
  const Matrix3 rotation{c, s, 0, -s, c, 0, 0, 0, 1};
  const Matrix3 shear{1, std::tan(radians(d.shear_x)), 0, std::tan(radians(d.shear_y)), 1, 0, 0, 0, 1};
  const Matrix3 shift{1, 0, d.translate_x * out_width, 0, 1, d.translate_y * out_height, 0, 0, 1};
  return multiply(shift, multiply(shear, multiply(rotation, multiply(perspective, centre))));
}

void warp(const Image& image, const Matrix3& forward, bool projective, int width, int height, Image& out) {
  Matrix3 affine = forward;
  if (!projective) affine[6] = affine[7] = 0, affine[8] = 1;
  const Matrix3 back = inverse(affine);
  std::array<float, 9> m;
  for (size_t i = 0; i < 9; ++i) m[i] = float(back[i]);
  out.width = width;
  out.height = height;
  out.pixels.resize(size_t(width) * size_t(height) * 3);
  Places places;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; x += kChunk) {
      const int count = std::min(kChunk, width - x);
      find_places(m, projective, x, y, count, places);
      mix_row(image, places, count, out.row(y) + x * 3);
    }
}

Window source_window(const Matrix3& forward, bool projective, int width, int height) {
  if (projective) return {};
  const Matrix3 back =
      inverse({forward[0], forward[1], forward[2], forward[3], forward[4], forward[5], 0, 0, 1});
  constexpr double kMargin = 2;  // one pixel is read beyond the place, one is for rounding
  Bounds box;
  for (const double x : {0.0, double(width)})
    for (const double y : {0.0, double(height)}) box.add(transform(back, false, x, y));
  return {box.x1 - kMargin, box.y1 - kMargin, box.x2 + kMargin, box.y2 + kMargin};
}

void random_perspective(const Canvas& in, const PerspectiveDraws& draws, int border_x, int border_y,
                        bool projective, Canvas& out) {
  const int width = in.image.width + 2 * border_x, height = in.image.height + 2 * border_y;
  MTYOLO_CHECK(width > 0 && height > 0, "random_perspective: border {} x {} leaves nothing of {} x {}",
               border_x, border_y, in.image.width, in.image.height);
  const Matrix3 m = perspective_matrix(draws, in.image.width, in.image.height, width, height);
  const Matrix3 identity{1, 0, 0, 0, 1, 0, 0, 0, 1};
  if (border_x == 0 && border_y == 0 && m == identity) out.image = in.image;
  else warp(in.image, m, projective, width, height, out.image);
  out.labels.clear();
  out.labelled = in.labelled;
  for (const PixelLabel& l : in.labels) {
    const bool has_polygon = !l.polygon.empty();
    const Bounds b = has_polygon ? follow_polygon(l, m, projective, width, height)
                                 : follow_corners(l, m, projective, width, height);
    const PixelLabel after{l.cls, float(b.x1), float(b.y1), float(b.x2), float(b.y2), {}};
    if (is_left(l, after, draws.scale, has_polygon ? 0.01 : 0.1)) out.labels.push_back(after);
  }
}

}  // namespace mtyolo::data

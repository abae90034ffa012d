// The inverse DCT of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) in libjpeg's fixed point: constants of
// 13 bits, columns first, 2 bits more between the passes. Eight columns are one vector.
#include "data/jpeg_block.h"

#include <algorithm>
#include <cstring>

namespace mtyolo::data {
namespace {

using Vector = int32_t __attribute__((vector_size(32)));
using Half = int16_t __attribute__((vector_size(16)));

constexpr int kBits = 13, kPassBits = 2;

constexpr int fix(double value) { return int(value * (1 << kBits) + 0.5); }

// One dimension of eight vectors; `round` is added to all results before the shift.
template <int kShift>
[[gnu::always_inline]] inline void transform(Vector v[8], int round) {
  const Vector even = (v[2] + v[6]) * fix(0.541196100);
  const Vector e2 = even - v[6] * fix(1.847759065), e3 = even + v[2] * fix(0.765366865);
  const Vector first = (v[0] << kBits) + round, fifth = v[4] << kBits;
  const Vector e0 = first + fifth, e1 = first - fifth;
  const Vector a0 = e0 + e3, a3 = e0 - e3, a1 = e1 + e2, a2 = e1 - e2;

  const Vector s = v[7] + v[3], t = v[5] + v[1];
  const Vector z5 = (s + t) * fix(1.175875602);
  const Vector z1 = (v[7] + v[1]) * -fix(0.899976223), z2 = (v[5] + v[3]) * -fix(2.562915447);
  const Vector z3 = z5 - s * fix(1.961570560), z4 = z5 - t * fix(0.390180644);
  const Vector o0 = v[7] * fix(0.298631336) + z1 + z3, o1 = v[5] * fix(2.053119869) + z2 + z4;
  const Vector o2 = v[3] * fix(3.072711026) + z2 + z3, o3 = v[1] * fix(1.501321110) + z1 + z4;

  v[0] = (a0 + o3) >> kShift, v[7] = (a0 - o3) >> kShift;
  v[1] = (a1 + o2) >> kShift, v[6] = (a1 - o2) >> kShift;
  v[2] = (a2 + o1) >> kShift, v[5] = (a2 - o1) >> kShift;
  v[3] = (a3 + o0) >> kShift, v[4] = (a3 - o0) >> kShift;
}

[[gnu::always_inline]] inline void transpose(Vector v[8]) {
  Vector a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = __builtin_shufflevector(a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 2 * j + 1] = __builtin_shufflevector(a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    v[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    v[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// kLow: only the first four rows and columns have coefficients.
template <bool kLow>
MTYOLO_AVX2 void run_block(JpegTransform& t, JpegBlock& block, uint8_t* out, size_t stride) {
  Vector v[8] = {}, seen;
  for (int i = 0; i < (kLow ? 4 : 8); ++i) {
    Half row, quant;
    std::memcpy(&row, block.coefs + 8 * i, sizeof(row));
    std::memcpy(&quant, t.quant + 8 * i, sizeof(quant));
    v[i] = __builtin_convertvector(row * quant, Vector);
  }
  std::memset(block.coefs, 0, kLow ? 64 : 128);
  transform<kBits - kPassBits>(v, 1 << (kBits - kPassBits - 1));
  std::memcpy(&seen, t.range, sizeof(seen));
  for (const Vector& row : v) seen |= row + JpegTransform::kRange;
  std::memcpy(t.range, &seen, sizeof(seen));
  transpose(v);
  if (kLow) v[4] = v[5] = v[6] = v[7] = Vector{};
  constexpr int kLast = kBits + kPassBits + 3;
  transform<kLast>(v, (128 << kLast) + (1 << (kLast - 1)));
  for (int i = 0; i < 8; ++i) {
    v[i] = v[i] < 0 ? Vector{} : v[i];
    v[i] = v[i] > 255 ? Vector{} + 255 : v[i];
  }
  // Vectors are columns: four of them side by side, a byte each, are the halves of the rows.
  const Vector left = v[0] | v[1] << 8 | v[2] << 16 | v[3] << 24;
  const Vector right = v[4] | v[5] << 8 | v[6] << 16 | v[7] << 24;
  const Vector low = __builtin_shufflevector(left, right, 0, 8, 1, 9, 4, 12, 5, 13);
  const Vector high = __builtin_shufflevector(left, right, 2, 10, 3, 11, 6, 14, 7, 15);
  const auto* rows_low = reinterpret_cast<const uint8_t*>(&low);
  const auto* rows_high = reinterpret_cast<const uint8_t*>(&high);
  for (int i = 0; i < 2; ++i) {
    std::memcpy(out + stride * size_t(4 * i), rows_low + 16 * i, 8);
    std::memcpy(out + stride * size_t(4 * i + 1), rows_low + 16 * i + 8, 8);
    std::memcpy(out + stride * size_t(4 * i + 2), rows_high + 16 * i, 8);
    std::memcpy(out + stride * size_t(4 * i + 3), rows_high + 16 * i + 8, 8);
  }
}

}  // namespace

void JpegTransform::run(JpegBlock& block, int last, uint8_t* out, size_t stride) {
  constexpr int kLow = 9;  // the end of the fourth diagonal
  if (last <= kLow) run_block<true>(*this, block, out, stride);
  else run_block<false>(*this, block, out, stride);
}

bool JpegTransform::in_range() const {
  return std::all_of(range, range + 8, [](int32_t r) { return uint32_t(r) < 2 * kRange; });
}

}  // namespace mtyolo::data

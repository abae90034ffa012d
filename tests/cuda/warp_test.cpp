// Functions of a warp, and the fragment tables of tensor-core operations.
#include <map>
#include <set>

#include "cuda/device/block.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/launch.h"
#include "cuda/simt/counters.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::simt;
using namespace mtyolo::test;

namespace {

MTYOLO_KERNEL warp_kernel(uint32_t* out) {
  const uint32_t l = lane_index();
  const uint32_t results[] = {
      shfl(l, 5),       shfl(l, 3, 8),      shfl_up(l, 2),          shfl_down(l, 2, 16),
      shfl_xor(l, 9),   ballot(l % 3 == 0), uint32_t(any(l == 31)), uint32_t(all(l < 31)),
      match_any(l / 4), reduce_add(l),      reduce_max(l ^ 7u),     uint32_t(reduce_min(-int32_t(l)) + 100),
      warp_sum(l),      count_bits(l),      lowest_bit(l)};
  for (uint32_t i = 0; i < 15; ++i) out[i * 32 + l] = results[i];
}
// Halves of a warp in different calls at the same time.
MTYOLO_KERNEL half_kernel(uint32_t* out) {
  const uint32_t l = lane_index();
  if (l < 16) out[l] = shfl_xor(l, 1, 32, 0x0000ffffu);
  else out[l] = shfl_xor(l, 2, 32, 0xffff0000u);
}

}  // namespace

TEST_CASE("simt: shuffles, votes, matches and reductions of a warp give what the programming guide says") {
  const SimtBuffer<uint32_t> out(15 * 32);
  launch(warp_kernel, {{1}, {32}}, {}, out.get());
  const auto v = out.values();
  for (uint32_t l = 0; l < 32; ++l) {
    const uint32_t up = l < 2 ? l : l - 2, down = l % 16 >= 14 ? l : l + 2;
    const uint32_t want[] = {5,
                             l / 8 * 8 + 3,
                             up,
                             down,
                             l ^ 9,
                             0x49249249u,
                             1,
                             0,
                             0xfu << (l / 4 * 4),
                             496,
                             31,
                             69,
                             496,
                             uint32_t(std::popcount(l)),
                             l == 0 ? 32 : uint32_t(std::countr_zero(l))};
    for (uint32_t i = 0; i < 15; ++i) {
      INFO("function " << i << ", lane " << l);
      CHECK(v[i * 32 + l] == want[i]);
    }
  }
  const SimtBuffer<uint32_t> halves(32);
  launch(half_kernel, {{1}, {32}}, {}, halves.get());
  for (uint32_t l = 0; l < 32; ++l) CHECK(halves.values()[l] == (l ^ (l < 16 ? 1 : 2)));
}

namespace {

using emulator::Place;

// The tables as the PTX manual writes them, one case for each shape.
Place manual_a(int bytes, int k, int lane, int i) {
  const int g = lane >> 2, t = lane & 3;
  if (bytes == 2 && k == 16) return {g + 8 * ((i >> 1) & 1), 2 * t + (i & 1) + 8 * (i >> 2)};
  if (bytes == 2) return {g + 8 * (i >> 1), 2 * t + (i & 1)};
  if (bytes == 4 && k == 8) return {g + 8 * (i & 1), t + 4 * (i >> 1)};
  if (bytes == 4) return {g + 8 * i, t};
  if (k == 16) return {g + 8 * (i >> 2), 4 * t + (i & 3)};
  return {g + 8 * ((i >> 2) & 1), 4 * t + (i & 3) + 16 * (i >> 3)};
}
Place manual_b(int bytes, int k, int lane, int i) {
  const int g = lane >> 2, t = lane & 3;
  if (bytes == 2 && k == 16) return {2 * t + (i & 1) + 8 * (i >> 1), g};
  if (bytes == 2) return {2 * t + i, g};
  if (bytes == 4 && k == 8) return {t + 4 * i, g};
  if (bytes == 4) return {t, g};
  if (k == 16) return {4 * t + i, g};
  return {4 * t + (i & 3) + 16 * (i >> 2), g};
}

struct Shape {
  int bytes, k;
};

}  // namespace

TEST_CASE("simt: fragment tables are the manual's, and every element of an operand has one owner") {
  for (const Shape s : {Shape{2, 16}, Shape{2, 8}, Shape{4, 8}, Shape{4, 4}, Shape{1, 16}, Shape{1, 32}}) {
    std::set<std::pair<int, int>> a, b, c;
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < s.k / 2; ++i) {
        const Place p = emulator::a_place(s.bytes, lane, i);
        CHECK(p == manual_a(s.bytes, s.k, lane, i));
        a.insert({p.row, p.column});
      }
      for (int i = 0; i < s.k / 4; ++i) {
        const Place p = emulator::b_place(s.bytes, lane, i);
        CHECK(p == manual_b(s.bytes, s.k, lane, i));
        b.insert({p.row, p.column});
      }
      for (int i = 0; i < 4; ++i)
        c.insert({emulator::c_place(lane, i).row, emulator::c_place(lane, i).column});
    }
    CHECK(int(a.size()) == 16 * s.k);
    CHECK((a.begin()->first == 0 && a.rbegin()->first == 15));
    CHECK(int(b.size()) == 8 * s.k);
    CHECK((b.begin()->first == 0 && b.rbegin()->first == s.k - 1));
    CHECK(c.size() == 128);
  }
}

namespace {

template <class T>
T element_of(int value) {
  if constexpr (std::is_same_v<T, tf32>) return to_tf32(float(value));
  else if constexpr (std::is_same_v<T, int8_t>) return int8_t(value);
  else return T(float(value));
}
int a_value(int row, int k) { return (row * 7 + k * 3) % 15 - 7; }
int b_value(int k, int column) { return (k * 5 + column * 11) % 13 - 6; }

// Packs operands by the manual's tables and multiplies; c starts at 1.
template <class T, int K>
MTYOLO_KERNEL mma_kernel(int* out) {
  const int lane = int(lane_index());
  T a[K / 2], b[K / 4];
  for (int i = 0; i < K / 2; ++i) {
    const Place p = manual_a(int(sizeof(T)), K, lane, i);
    a[i] = element_of<T>(a_value(p.row, p.column));
  }
  for (int i = 0; i < K / 4; ++i) {
    const Place p = manual_b(int(sizeof(T)), K, lane, i);
    b[i] = element_of<T>(b_value(p.row, p.column));
  }
  uint32_t packed_a[kRegistersA<T, K>], packed_b[kRegistersB<T, K>];
  std::memcpy(packed_a, a, sizeof(packed_a));
  std::memcpy(packed_b, b, sizeof(packed_b));
  MmaAcc<T> c[4] = {1, 1, 1, 1};
  mma<T, K>(c, packed_a, packed_b);
  for (int i = 0; i < 4; ++i) out[(lane / 4 + 8 * (i >> 1)) * 8 + 2 * (lane % 4) + (i & 1)] = int(c[i]);
}

template <class T, int K>
int wrong_products() {
  const SimtBuffer<int> out(128);
  launch(mma_kernel<T, K>, {{1}, {32}}, {}, out.get());
  int wrong = 0;
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      int sum = 1;
      for (int k = 0; k < K; ++k) sum += a_value(row, k) * b_value(k, column);
      wrong += out.values()[size_t(row * 8 + column)] != sum;
    }
  return wrong;
}

// 8x8 matrices in shared memory; `pitch` is the distance of rows in bytes.
template <int count, bool transposed>
MTYOLO_KERNEL ldmatrix_kernel(uint32_t* out, int pitch, int swizzle) {
  MTYOLO_DYNAMIC_SMEM(char, tile);
  const int lane = int(lane_index());
  const auto row_at = [&](int row) {
    return tile + row * pitch + (swizzle ? 16 * (swizzled<4>(row, 0) % 4) : 0);
  };
  for (int row = lane; row < 8 * count; row += 32)
    for (int e = 0; e < 8; ++e) reinterpret_cast<uint16_t*>(row_at(row))[e] = uint16_t(row * 8 + e);
  sync_warp();
  uint32_t r[count];
  const void* row = row_at(lane % (8 * count));
  if constexpr (transposed) ldmatrix_trans(r, row);
  else ldmatrix(r, row);
  for (int j = 0; j < count; ++j) out[j * 32 + lane] = r[j];
}

template <int count, bool transposed>
int wrong_matrices() {
  const SimtBuffer<uint32_t> out(count * 32);
  launch(ldmatrix_kernel<count, transposed>, {{1}, {32}, 4096}, {}, out.get(), 64, 1);
  int wrong = 0;
  for (uint32_t j = 0; j < count; ++j)
    for (uint32_t l = 0; l < 32; ++l) {
      const uint32_t row = l / 4, column = 2 * (l % 4);
      const uint32_t low = transposed ? column * 8 + row : row * 8 + column;
      const uint32_t high = transposed ? (column + 1) * 8 + row : row * 8 + column + 1;
      wrong += out.values()[j * 32 + l] != (j * 64 + low) + ((j * 64 + high) << 16);
    }
  return wrong;
}

uint64_t extra_passes(int pitch, int swizzle) {
  emulator::Options o = emulator::options();
  o.count = true;
  const WithOptions with(o);
  emulator::reset_counters();
  const SimtBuffer<uint32_t> out(128);
  launch(ldmatrix_kernel<4, false>, {{1}, {32}, 4096}, {}, out.get(), pitch, swizzle);
  wait_for_tested();
  CHECK(emulator::counters().shared_phases == 4);
  return emulator::counters().shared_extra;
}

}  // namespace

TEST_CASE("simt: products of fragments packed by the manual's tables are exact in every shape") {
  CHECK(wrong_products<half, 16>() == 0);
  CHECK(wrong_products<half, 8>() == 0);
  CHECK(wrong_products<bfloat16, 16>() == 0);
  CHECK(wrong_products<bfloat16, 8>() == 0);
  CHECK(wrong_products<tf32, 8>() == 0);
  CHECK(wrong_products<tf32, 4>() == 0);
  CHECK(wrong_products<int8_t, 16>() == 0);
  CHECK(wrong_products<int8_t, 32>() == 0);
}

TEST_CASE("simt: ldmatrix hands out rows and columns of one, two and four matrices") {
  CHECK(wrong_matrices<1, false>() == 0);
  CHECK(wrong_matrices<2, false>() == 0);
  CHECK(wrong_matrices<4, false>() == 0);
  CHECK(wrong_matrices<1, true>() == 0);
  CHECK(wrong_matrices<2, true>() == 0);
  CHECK(wrong_matrices<4, true>() == 0);
}

TEST_CASE(
    "simt: the bank counter sees four passes for rows of 64 bytes, one with the swizzle, eight for 128") {
  CHECK(extra_passes(64, 1) == 0);
  CHECK(extra_passes(64, 0) == 4 * 3);
  CHECK(extra_passes(128, 0) == 4 * 7);
}

TEST_CASE("simt: rounding to tf32 is to the nearest, ties away from zero, and keeps what is no number") {
  CHECK(as_float(to_tf32(1.0f + 0x1p-11f).bits) == 1.0f + 0x1p-10f);
  CHECK(as_float(to_tf32(-1.0f - 0x1p-11f).bits) == -1.0f - 0x1p-10f);
  CHECK(as_float(to_tf32(1.0f + 0x1p-12f).bits) == 1.0f);
  CHECK(as_float(to_tf32(INFINITY).bits) == INFINITY);
  CHECK(std::isnan(as_float(to_tf32(NAN).bits)));
}

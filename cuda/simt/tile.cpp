#include "cuda/simt/tile.h"

#include <bit>
#include <cstring>

#include "core/dtype.h"
#include "core/error.h"
#include "cuda/simt/collective.h"
#include "cuda/simt/memory.h"

namespace mtyolo::emulator {
namespace {

struct MmaLane {
  const uint32_t *a, *b;
  void* c;
};

// Element `i` of packed registers.
template <MmaType type>
auto element(const uint32_t* registers, int i) {
  if constexpr (type == MmaType::kS8) return int32_t(int8_t(registers[i / 4] >> (8 * (i % 4))));
  else if constexpr (type == MmaType::kTF32)
    return std::bit_cast<float>(registers[i] & 0xffffe000u);  // as hardware
  else if constexpr (type == MmaType::kBF16)
    return std::bit_cast<float>(registers[i / 2] >> (16 * (i % 2)) << 16);
  else {
    Half h;
    h.bits = uint16_t(registers[i / 2] >> (16 * (i % 2)));
    return float(h);
  }
}

template <MmaType type, int k>
void combine_mma(void* const* lanes, const Site&) {
  using Acc = std::conditional_t<type == MmaType::kS8, int32_t, float>;
  constexpr int kBytes = type == MmaType::kS8 ? 1 : type == MmaType::kTF32 ? 4 : 2;
  Acc a[16][k], b[k][8], sum[16][8] = {};
  for (int lane = 0; lane < 32; ++lane) {
    const MmaLane& m = *static_cast<const MmaLane*>(lanes[lane]);
    for (int i = 0; i < k / 2; ++i) {
      const Place p = a_place(kBytes, lane, i);
      a[p.row][p.column] = element<type>(m.a, i);
    }
    for (int i = 0; i < k / 4; ++i) {
      const Place p = b_place(kBytes, lane, i);
      b[p.row][p.column] = element<type>(m.b, i);
    }
  }
  for (int row = 0; row < 16; ++row)
    for (int x = 0; x < k; ++x)
      for (int column = 0; column < 8; ++column) sum[row][column] += a[row][x] * b[x][column];
  for (int lane = 0; lane < 32; ++lane) {
    auto* c = static_cast<Acc*>(static_cast<const MmaLane*>(lanes[lane])->c);
    for (int i = 0; i < 4; ++i) c[i] += sum[c_place(lane, i).row][c_place(lane, i).column];
  }
}

Combine mma_of(MmaType type, int k) {
  if (type == MmaType::kF16) return k == 16 ? combine_mma<MmaType::kF16, 16> : combine_mma<MmaType::kF16, 8>;
  if (type == MmaType::kBF16)
    return k == 16 ? combine_mma<MmaType::kBF16, 16> : combine_mma<MmaType::kBF16, 8>;
  if (type == MmaType::kTF32) return k == 8 ? combine_mma<MmaType::kTF32, 8> : combine_mma<MmaType::kTF32, 4>;
  return k == 32 ? combine_mma<MmaType::kS8, 32> : combine_mma<MmaType::kS8, 16>;
}

struct MatrixLane {
  uint32_t* registers;
  const void* row;
};

template <int count, bool transposed>
void combine_ldmatrix(void* const* lanes, const Site&) {
  for (int j = 0; j < count; ++j) {
    uint16_t matrix[8][8];
    for (int r = 0; r < 8; ++r)
      std::memcpy(matrix[r], static_cast<const MatrixLane*>(lanes[8 * j + r])->row, 16);
    for (int lane = 0; lane < 32; ++lane) {
      const int major = lane / 4, minor = 2 * (lane % 4);
      const uint16_t low = transposed ? matrix[minor][major] : matrix[major][minor];
      const uint16_t high = transposed ? matrix[minor + 1][major] : matrix[major][minor + 1];
      static_cast<const MatrixLane*>(lanes[lane])->registers[j] = uint32_t(high) << 16 | low;
    }
  }
}

}  // namespace

void mma(MmaType type, int k, const uint32_t* a, const uint32_t* b, void* c, const Site& at) {
  MmaLane mine{a, b, c};
  warp_collective("mma", ~0u, &mine, mma_of(type, k), at);
}

void ldmatrix(uint32_t* registers, int count, bool transposed, const void* row, const Site& at) {
  Engine& e = engine();
  if (int(e.thread().lane()) < 8 * count) {
    if (!e.arena().contains(row)) e.fail(at, "ldmatrix: the address is no shared memory");
    check_access(row, 16, Access::kRead, at);
  }
  MatrixLane mine{registers, row};
  const Combine combine = count == 1 ? (transposed ? combine_ldmatrix<1, true> : combine_ldmatrix<1, false>)
                          : count == 2
                              ? (transposed ? combine_ldmatrix<2, true> : combine_ldmatrix<2, false>)
                              : (transposed ? combine_ldmatrix<4, true> : combine_ldmatrix<4, false>);
  warp_collective("ldmatrix", ~0u, &mine, combine, at);
}

}  // namespace mtyolo::emulator

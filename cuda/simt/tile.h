// Tensor-core operations from the fragment tables of the PTX manual: which lane holds which element of an
// operand.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/simt/site.h"

namespace mtyolo::emulator {

// Element (row, column) of a matrix.
struct Place {
  int row = 0, column = 0;
  bool operator==(const Place&) const = default;
};
// Where element `i` of a lane's fragment lies, counted in the order of packing (low half of a register
// first). `bytes` is the size of an element. A is 16 x K, B is K x 8, C and D are 16 x 8.
//   PTX ISA, "Matrix fragments for mma.m16n8k*", for 16-bit, 8-bit and tf32 operands alike: a register holds
//   4/bytes neighbours along k, the lanes of a group of four follow along k, and registers alternate between
//   row halves (A only) and then go on along k.
constexpr Place a_place(int bytes, int lane, int i) {
  const int packed = 4 / bytes, r = i / packed;
  return {lane / 4 + 8 * (r & 1), packed * (lane % 4) + i % packed + 4 * packed * (r >> 1)};
}
constexpr Place b_place(int bytes, int lane, int i) {
  const int packed = 4 / bytes;
  return {packed * (lane % 4) + i % packed + 4 * packed * (i / packed), lane / 4};
}
constexpr Place c_place(int lane, int i) { return {lane / 4 + 8 * (i >> 1), 2 * (lane % 4) + (i & 1)}; }

enum class MmaType : uint8_t { kF16, kBF16, kTF32, kS8 };
// c += a b for one warp, all 32 lanes. `k` is the depth; a, b hold 32-bit registers, c four f32 or s32.
// Products are exact, sums over k run in order in f32 and are then added to c (the hardware sums in another
// order, truncating).
void mma(MmaType type, int k, const uint32_t* a, const uint32_t* b, void* c, const Site& at);

// Loads `count` 8x8 matrices of 16-bit elements; lane 8j + r gives the address of row r of matrix j.
void ldmatrix(uint32_t* registers, int count, bool transposed, const void* row, const Site& at);

}  // namespace mtyolo::emulator

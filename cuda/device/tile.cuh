// Asynchronous copies into shared memory, and tensor-core products of tiles: cp.async, ldmatrix, mma.sync.
// Which lane holds which element of a fragment: cuda/simt/tile.h.
#pragma once

#include <type_traits>

#include "cuda/device/config.cuh"
#include "cuda/device/math.cuh"
#ifdef MTYOLO_SIMT
#include "cuda/simt/async.h"
#include "cuda/simt/tile.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

// Where 16-byte chunk `chunk` of row `row` lies in a row of kChunks (4 or 8: 64 or 128 bytes), so that
// neither copies of whole rows nor ldmatrix meet a bank conflict. In units of chunks from the start of the
// tile.
template <int kChunks>
MTYOLO_HOST_DEV constexpr int swizzled(int row, int chunk) {
  static_assert(kChunks == 4 || kChunks == 8);
  return row * kChunks + (chunk ^ (kChunks == 8 ? row & 7 : (row >> 1) & 3));
}

// Accumulators: s32 for s8, f32 for all others.
template <class T>
using MmaAcc = std::conditional_t<std::is_same_v<T, int8_t>, int32_t, float>;
// 32-bit registers of a fragment of depth K.
template <class T, int K>
inline constexpr int kRegistersA = K* int(sizeof(T)) / 8;
template <class T, int K>
inline constexpr int kRegistersB = K* int(sizeof(T)) / 16;

#ifdef MTYOLO_SIMT

// Copies 16, 8 or 4 bytes from global to shared memory, or writes zeros and does not look at `from`.
template <int bytes>
void cp_async(void* to, const void* from, bool copy = true, Site at = Site::here()) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  emulator::copy_async(to, from, bytes, !copy, at);
}
inline void cp_async_commit() { emulator::commit_copies(); }
// Waits for this thread's copies but those of the newest `groups` groups.
template <int groups>
void cp_async_wait(Site at = Site::here()) {
  emulator::wait_copies(groups, at);
}

// `count` (1, 2, 4) 8x8 matrices of 16-bit elements: lane 8j + r names the 16 bytes of row r of matrix j.
template <int count>
void ldmatrix(uint32_t (&registers)[count], const void* row, Site at = Site::here()) {
  emulator::ldmatrix(registers, count, false, row, at);
}
template <int count>
void ldmatrix_trans(uint32_t (&registers)[count], const void* row, Site at = Site::here()) {
  emulator::ldmatrix(registers, count, true, row, at);
}

// c += a b: A is 16 x K, B is K x 8. T is half or bfloat16 (K 8, 16), tf32 (K 4, 8) or int8_t (K 16, 32).
template <class T, int K>
void mma(MmaAcc<T> (&c)[4], const uint32_t (&a)[kRegistersA<T, K>], const uint32_t (&b)[kRegistersB<T, K>],
         Site at = Site::here()) {
  using emulator::MmaType;
  constexpr MmaType kType = std::is_same_v<T, half>       ? MmaType::kF16
                            : std::is_same_v<T, bfloat16> ? MmaType::kBF16
                            : std::is_same_v<T, tf32>     ? MmaType::kTF32
                                                          : MmaType::kS8;
  emulator::mma(kType, K, a, b, c, at);
}

#else

MTYOLO_DEV uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

#if __CUDA_ARCH__ >= 800 || !defined(__CUDA_ARCH__)
template <int bytes>
MTYOLO_DEV void cp_async(void* to, const void* from, bool copy = true, Site = {}) {
  const int size = copy ? bytes : 0;
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(size)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from),
                 "n"(bytes), "r"(size)
                 : "memory");
}
MTYOLO_DEV void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int groups>
MTYOLO_DEV void cp_async_wait(Site = {}) {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}
#endif

#define MTYOLO_LDMATRIX(trans)                                                               \
  const uint32_t address = shared_address(row);                                              \
  if constexpr (count == 1)                                                                  \
    asm volatile("ldmatrix.sync.aligned.m8n8.x1" trans ".shared.b16 {%0}, [%1];"             \
                 : "=r"(r[0])                                                                \
                 : "r"(address)                                                              \
                 : "memory");                                                                \
  else if constexpr (count == 2)                                                             \
    asm volatile("ldmatrix.sync.aligned.m8n8.x2" trans ".shared.b16 {%0, %1}, [%2];"         \
                 : "=r"(r[0]), "=r"(r[1])                                                    \
                 : "r"(address)                                                              \
                 : "memory");                                                                \
  else                                                                                       \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" trans ".shared.b16 {%0, %1, %2, %3}, [%4];" \
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                            \
                 : "r"(address)                                                              \
                 : "memory")
template <int count>
MTYOLO_DEV void ldmatrix(uint32_t (&r)[count], const void* row, Site = {}) {
  MTYOLO_LDMATRIX("");
}
template <int count>
MTYOLO_DEV void ldmatrix_trans(uint32_t (&r)[count], const void* row, Site = {}) {
  MTYOLO_LDMATRIX(".trans");
}
#undef MTYOLO_LDMATRIX

#define MTYOLO_MMA_42(text, f)                                                                   \
  asm volatile("mma.sync.aligned." text " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
               : f(c[0]), f(c[1]), f(c[2]), f(c[3])                                              \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define MTYOLO_MMA_21(text, f)                                                          \
  asm volatile("mma.sync.aligned." text " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};" \
               : f(c[0]), f(c[1]), f(c[2]), f(c[3])                                     \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]))
template <class T, int K>
MTYOLO_DEV void mma(MmaAcc<T> (&c)[4], const uint32_t (&a)[kRegistersA<T, K>],
                    const uint32_t (&b)[kRegistersB<T, K>], Site = {}) {
  if constexpr (std::is_same_v<T, half> && K == 8) MTYOLO_MMA_21("m16n8k8.row.col.f32.f16.f16.f32", "+f");
#if __CUDA_ARCH__ >= 800 || !defined(__CUDA_ARCH__)
  else if constexpr (std::is_same_v<T, half>) MTYOLO_MMA_42("m16n8k16.row.col.f32.f16.f16.f32", "+f");
  else if constexpr (std::is_same_v<T, bfloat16> && K == 8)
    MTYOLO_MMA_21("m16n8k8.row.col.f32.bf16.bf16.f32", "+f");
  else if constexpr (std::is_same_v<T, bfloat16>) MTYOLO_MMA_42("m16n8k16.row.col.f32.bf16.bf16.f32", "+f");
  else if constexpr (std::is_same_v<T, tf32> && K == 4)
    MTYOLO_MMA_21("m16n8k4.row.col.f32.tf32.tf32.f32", "+f");
  else if constexpr (std::is_same_v<T, tf32>) MTYOLO_MMA_42("m16n8k8.row.col.f32.tf32.tf32.f32", "+f");
  else if constexpr (K == 16) MTYOLO_MMA_21("m16n8k16.row.col.s32.s8.s8.s32", "+r");
  else MTYOLO_MMA_42("m16n8k32.row.col.s32.s8.s8.s32", "+r");
#endif
}
#undef MTYOLO_MMA_42
#undef MTYOLO_MMA_21
#endif

}  // namespace mtyolo::MTYOLO_KERNEL_NS

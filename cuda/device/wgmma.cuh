// sm_90a: products of a warpgroup of 128 threads (wgmma), and its share of registers. Which thread holds
// which element of the accumulators: d_place of cuda/simt/hopper.h.
#pragma once

#include "cuda/device/tile.cuh"
#include "cuda/tensor_map.h"
#ifdef MTYOLO_SIMT
#include "cuda/simt/hopper.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

inline constexpr uint32_t kWarpgroup = 128;

// Shared tile and layout of an operand of wgmma, K-major (16-bit elements along k): swizzled rows are one
// span long and groups of eight rows `stride` bytes apart; without a swizzle `leading` bytes lie between 8 x
// 16-byte matrices along k. Further along k inside a span: add the bytes / 16.
MTYOLO_DEV uint64_t wgmma_descriptor(const void* tile, Swizzle swizzle, uint32_t stride,
                                     uint32_t leading = 16);

#ifdef MTYOLO_SIMT

// Before the first wgmma and after every other use of the accumulators.
inline void wgmma_fence() { emulator::wgmma_fence(); }
// d (64 x N) = a b^T (+ d): T is half or bfloat16, depth 16, N 64, 128 or 256; by all threads of a warpgroup.
// d may not be touched until wgmma_wait.
template <class T, int N>
void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate, Site at = Site::here()) {
  emulator::wgmma({N, std::is_same_v<T, bfloat16>, a, b, accumulate, at}, d);
}
inline void wgmma_commit() { emulator::wgmma_commit(); }
// Until all but the newest `groups` committed groups are done.
template <int groups, int count>
void wgmma_wait(float (&)[count], Site at = Site::here()) {
  emulator::wgmma_wait(groups, at);
}

// Of each thread, by all warps of a warpgroup.
template <int count>
void more_registers(Site at = Site::here()) {
  emulator::set_registers(count, at);
}
template <int count>
void fewer_registers(Site at = Site::here()) {
  emulator::set_registers(count, at);
}
inline uint32_t shared_address(const void* p) { return emulator::shared_offset(p); }

#else

MTYOLO_DEV void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
MTYOLO_DEV void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int groups, int count>
MTYOLO_DEV void wgmma_wait(float (&d)[count], Site = {}) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
  if constexpr (groups == 0) {
    MTYOLO_UNROLL
    for (int i = 0; i < count; ++i) asm volatile("" : "+f"(d[i])::"memory");  // nothing reads d before
  }
}

#define MTYOLO_R32A                                                                                         \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%" \
  "28,"                                                                                                     \
  "%29,%30,%31"
#define MTYOLO_R32B                                                                                      \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56," \
  "%57,%58,%59,%60,%61,%62,%63"
#define MTYOLO_R32C                                                                                      \
  "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88," \
  "%89,%90,%91,%92,%93,%94,%95"
#define MTYOLO_R32D                                                                                        \
  "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%" \
  "117,"                                                                                                   \
  "%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define MTYOLO_D8(i)                                                                          \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define MTYOLO_D32(i) MTYOLO_D8(i), MTYOLO_D8(i + 8), MTYOLO_D8(i + 16), MTYOLO_D8(i + 24)
#define MTYOLO_WGMMA(shape, type, d_text, a_text, b_text, p_text, ...)                             \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, " p_text ", 0; wgmma.mma_async.sync.aligned." shape \
               ".f32." type "." type " {" d_text "}, " a_text ", " b_text ", p, 1, 1, 0, 0; }"     \
               : __VA_ARGS__                                                                       \
               : "l"(a), "l"(b), "r"(int(accumulate)))
#define MTYOLO_WGMMA_TYPE(type)                                                                            \
  if constexpr (N == 64) MTYOLO_WGMMA("m64n64k16", type, MTYOLO_R32A, "%32", "%33", "%34", MTYOLO_D32(0)); \
  else if constexpr (N == 128)                                                                             \
    MTYOLO_WGMMA("m64n128k16", type, MTYOLO_R32A "," MTYOLO_R32B, "%64", "%65", "%66", MTYOLO_D32(0),      \
                 MTYOLO_D32(32));                                                                          \
  else                                                                                                     \
    MTYOLO_WGMMA("m64n256k16", type, MTYOLO_R32A "," MTYOLO_R32B "," MTYOLO_R32C "," MTYOLO_R32D, "%128",  \
                 "%129", "%130", MTYOLO_D32(0), MTYOLO_D32(32), MTYOLO_D32(64), MTYOLO_D32(96))
template <class T, int N>
MTYOLO_DEV void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate, Site = {}) {
  static_assert(N == 64 || N == 128 || N == 256);
  if constexpr (std::is_same_v<T, half>) {
    MTYOLO_WGMMA_TYPE("f16");
  } else {
    MTYOLO_WGMMA_TYPE("bf16");
  }
}
#undef MTYOLO_WGMMA_TYPE
#undef MTYOLO_WGMMA
#undef MTYOLO_D32
#undef MTYOLO_D8
#undef MTYOLO_R32A
#undef MTYOLO_R32B
#undef MTYOLO_R32C
#undef MTYOLO_R32D

template <int count>
MTYOLO_DEV void more_registers(Site = {}) {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
MTYOLO_DEV void fewer_registers(Site = {}) {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

#endif

MTYOLO_DEV uint64_t wgmma_descriptor(const void* tile, Swizzle swizzle, uint32_t stride, uint32_t leading) {
  return (shared_address(tile) >> 4 & 0x3fff) | uint64_t(leading >> 4) << 16 | uint64_t(stride >> 4) << 32 |
         uint64_t((4 - int(swizzle)) % 4) << 62;
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

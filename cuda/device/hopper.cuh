// sm_90a: barriers in shared memory and box copies (TMA). nvcc compiles users for sm_90a only
// (MTYOLO_KERNELS_90A).
#pragma once

#include "cuda/device/config.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/tensor_map.h"
#ifdef MTYOLO_SIMT
#include "cuda/simt/hopper.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

// In shared memory: MTYOLO_SMEM(MBarrier, full, [kStages]). A phase ends when all arrivals and all expected
// bytes have come; phases have parity 0, 1, 0 ..; a fresh barrier's phase of parity 1 counts as over.
struct MBarrier {
  uint64_t state;
};

#ifdef MTYOLO_SIMT

inline void mbarrier_init(MBarrier* b, uint32_t arrivals, Site at = Site::here()) {
  emulator::mbarrier_init(&b->state, arrivals, at);
}
inline void mbarrier_arrive(MBarrier* b, Site at = Site::here()) {
  emulator::mbarrier_arrive(&b->state, 0, at);
}
// Arrives, and lets the phase wait for so many bytes of box copies too.
inline void mbarrier_arrive_expect_tx(MBarrier* b, uint32_t bytes, Site at = Site::here()) {
  emulator::mbarrier_arrive(&b->state, bytes, at);
}
inline bool mbarrier_test(MBarrier* b, uint32_t parity, Site at = Site::here()) {
  return emulator::mbarrier_test(&b->state, parity, at);
}
inline void mbarrier_wait(MBarrier* b, uint32_t parity, Site at = Site::here()) {
  emulator::mbarrier_wait(&b->state, parity, at);
}
// By the thread that made barriers, before box copies use them.
inline void fence_barrier_init() { emulator::fence_barrier_init(); }
// By the thread that wrote shared memory, before wgmma reads it.
inline void fence_proxy_async() { emulator::fence_proxy_async(); }

// By one thread: the box that begins at `begin` (innermost first) to `to`, a multiple of 128 bytes (swizzled:
// of eight spans); its bytes, zeros outside the tensor included, count on the barrier.
template <int rank>
void tma_load(void* to, const TensorMap& map, MBarrier* b, const int (&begin)[rank], Site at = Site::here()) {
  emulator::copy_box(to, map, &b->state, begin, rank, nullptr, at);
}
// begin: c, w, h, n of the first pixel; the pixels read lie w_offset and h_offset (>= 0) further.
inline void tma_load_im2col(void* to, const TensorMap& map, MBarrier* b, const int (&begin)[4], int w_offset,
                            int h_offset, Site at = Site::here()) {
  const int offsets[2] = {w_offset, h_offset};
  emulator::copy_box(to, map, &b->state, begin, 4, offsets, at);
}
inline void prefetch_map(const TensorMap&) {}

#else

MTYOLO_DEV void mbarrier_init(MBarrier* b, uint32_t arrivals, Site = {}) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
MTYOLO_DEV void mbarrier_arrive(MBarrier* b, Site = {}) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
MTYOLO_DEV void mbarrier_arrive_expect_tx(MBarrier* b, uint32_t bytes, Site = {}) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
               : "memory");
}
MTYOLO_DEV bool mbarrier_test(MBarrier* b, uint32_t parity, Site = {}) {
  uint32_t over;
  asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
               : "=r"(over)
               : "r"(shared_address(b)), "r"(parity)
               : "memory");
  return over != 0;
}
MTYOLO_DEV void mbarrier_wait(MBarrier* b, uint32_t parity, Site = {}) {
  while (!mbarrier_test(b, parity)) {
  }
}
MTYOLO_DEV void fence_barrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
MTYOLO_DEV void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#define MTYOLO_TMA(dims, coordinates)                                                                   \
  asm volatile("cp.async.bulk.tensor." dims                                                             \
               ".shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, " coordinates           \
               "], [%2];" ::"r"(shared_address(to)),                                                    \
               "l"(&map), "r"(shared_address(b)), "r"(begin[0]), "r"(begin[rank > 1 ? 1 : 0]),          \
               "r"(begin[rank > 2 ? 2 : 0]), "r"(begin[rank > 3 ? 3 : 0]), "r"(begin[rank > 4 ? 4 : 0]) \
               : "memory")
template <int rank>
MTYOLO_DEV void tma_load(void* to, const TensorMap& map, MBarrier* b, const int (&begin)[rank], Site = {}) {
  if constexpr (rank == 1) MTYOLO_TMA("1d", "{%3}");
  else if constexpr (rank == 2) MTYOLO_TMA("2d", "{%3, %4}");
  else if constexpr (rank == 3) MTYOLO_TMA("3d", "{%3, %4, %5}");
  else if constexpr (rank == 4) MTYOLO_TMA("4d", "{%3, %4, %5, %6}");
  else MTYOLO_TMA("5d", "{%3, %4, %5, %6, %7}");
}
#undef MTYOLO_TMA
MTYOLO_DEV void tma_load_im2col(void* to, const TensorMap& map, MBarrier* b, const int (&begin)[4],
                                int w_offset, int h_offset, Site = {}) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(b)), "r"(begin[0]), "r"(begin[1]), "r"(begin[2]), "r"(begin[3]),
      "h"(uint16_t(w_offset)), "h"(uint16_t(h_offset))
      : "memory");
}
MTYOLO_DEV void prefetch_map(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

#endif

}  // namespace mtyolo::MTYOLO_KERNEL_NS

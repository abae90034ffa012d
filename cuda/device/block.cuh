// What the threads of a block, and the blocks of a grid, do together.
#pragma once

#include "cuda/device/config.cuh"
#include "cuda/device/warp.cuh"
#ifdef MTYOLO_SIMT
#include <atomic>

#include "cuda/simt/atomic.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

#ifdef MTYOLO_SIMT

inline void sync(Site at = Site::here()) { emulator::sync_block(0, at); }
inline int sync_count(bool vote, Site at = Site::here()) { return emulator::sync_block(vote, at); }
// Barrier `id`, 1..15, of `threads` threads, a multiple of 32; arrive does not wait.
inline void named_barrier(uint32_t id, uint32_t threads, Site at = Site::here()) {
  emulator::named_barrier(id, threads, true, at);
}
inline void named_barrier_arrive(uint32_t id, uint32_t threads, Site at = Site::here()) {
  emulator::named_barrier(id, threads, false, at);
}
// Relaxed, at the scope of the device; the value before. 32- and 64-bit integers.
template <class T>
T atomic_add(T* p, T value) {
  return emulator::atomic_add(p, value);
}
template <class T>
T atomic_max(T* p, T value) {
  return emulator::atomic_max(p, value);
}
template <class T>
T atomic_min(T* p, T value) {
  return emulator::atomic_min(p, value);
}
template <class T>
T atomic_cas(T* p, T expected, T value) {
  return emulator::atomic_cas(p, expected, value);
}
// The two audited ways for blocks to signal each other. add: releases what this thread and, after a sync(),
// its block wrote, acquires what earlier adders released; the value before. acquire: waits until the value is
// reached.
inline uint32_t semaphore_add(uint32_t* semaphore, uint32_t value) {
  return emulator::semaphore_add(semaphore, value);
}
inline void semaphore_acquire(uint32_t* semaphore, uint32_t value, Site at = Site::here()) {
  emulator::semaphore_acquire(semaphore, value, at);
}

#else

MTYOLO_DEV void sync(Site = {}) { __syncthreads(); }
MTYOLO_DEV int sync_count(bool vote, Site = {}) { return __syncthreads_count(vote); }
MTYOLO_DEV void named_barrier(uint32_t id, uint32_t threads, Site = {}) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
MTYOLO_DEV void named_barrier_arrive(uint32_t id, uint32_t threads, Site = {}) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
template <class T>
MTYOLO_DEV T atomic_add(T* p, T value) {
  return atomicAdd(p, value);
}
template <class T>
MTYOLO_DEV T atomic_max(T* p, T value) {
  return atomicMax(p, value);
}
template <class T>
MTYOLO_DEV T atomic_min(T* p, T value) {
  return atomicMin(p, value);
}
template <class T>
MTYOLO_DEV T atomic_cas(T* p, T expected, T value) {
  return atomicCAS(p, expected, value);
}
MTYOLO_DEV uint32_t semaphore_add(uint32_t* semaphore, uint32_t value) {
  uint32_t before;
  asm volatile("atom.add.acq_rel.gpu.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(semaphore), "r"(value)
               : "memory");
  return before;
}
MTYOLO_DEV void semaphore_acquire(uint32_t* semaphore, uint32_t value, Site = {}) {
  uint32_t now;
  do asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(now) : "l"(semaphore) : "memory");
  while (now < value);
}

#endif

// Whether this block is the last of `blocks` to come here; that one may read what the others wrote to global
// memory before. Counts in `*counter`, 0 at first and again after the last. All threads of the block take
// part.
MTYOLO_DEV bool last_block(uint32_t* counter, uint32_t blocks, Site at = Site::here()) {
  MTYOLO_SMEM(uint32_t, last, [1]);
  sync(at);
  if (thread_index().x == 0) {
    last[0] = semaphore_add(counter, 1) + 1 == blocks;
    if (last[0]) atomic_cas(counter, blocks, 0u);
  }
  sync(at);
  return last[0] != 0;
}

// The sum over the block, in every thread, in fixed order. At most 1024 threads.
template <class T>
MTYOLO_DEV T block_sum(T value, Site at = Site::here()) {
  MTYOLO_SMEM(T, parts, [kWarp]);
  value = warp_sum(value, at);
  sync(at);  // an earlier sum may still be read
  if (lane_index() == 0) parts[warp_index()] = value;
  MTYOLO_MUTANT(18, sync(at), void());
  T sum{};
  for (uint32_t w = 0; w < block_size().x / kWarp; ++w) sum += parts[w];
  return sum;
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

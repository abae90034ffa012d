// Finds two accesses of different threads to the same byte, one of them a write, with nothing between them
// that orders them: a block barrier, or for lanes of one warp a sync_warp of the whole warp (shuffles, votes,
// ldmatrix and mma order no memory). Of global memory: accesses of different blocks of a launch that no
// semaphore orders. Atomics are exempt. A kernel's own accesses arrive through __tsan_* (race_hooks.cpp),
// those of device functions through check_access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/simt/site.h"

namespace mtyolo::emulator {

class Engine;

// Off in normal builds: the hooks turn it on when they are linked and this is called. One worker only.
void enable_race_checker(std::string (*describe)(const void* pc));  // a line of source for a return address
inline bool race_checking = false;

void race_restart();  // launches will be numbered from 0 again
void race_begin_block_slow(uint64_t launch, uint64_t block);
void race_access_slow(const void* p, size_t bytes, bool write, const Site* site, const void* pc);
void race_semaphore_slow(const void* semaphore, bool acquire, bool release);

inline void race_begin_block(uint64_t launch, uint64_t block) {
  if (race_checking) race_begin_block_slow(launch, block);
}
inline void race_access(const void* p, size_t bytes, bool write, const Site* site) {
  if (race_checking) race_access_slow(p, bytes, write, site, nullptr);
}
inline void race_semaphore(const void* semaphore, bool acquire, bool release) {
  if (race_checking) race_semaphore_slow(semaphore, acquire, release);
}

}  // namespace mtyolo::emulator

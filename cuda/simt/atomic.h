// Atomics of kernels. In a file of their own that the race checker does not instrument: they are exempt.
#pragma once

#include <cstdint>

#include "cuda/simt/site.h"

namespace mtyolo::emulator {

// Relaxed; the value before. For int32_t, uint32_t, int64_t (as long long) and uint64_t (as unsigned long
// long).
template <class T>
T atomic_add(T* p, T value);
template <class T>
T atomic_max(T* p, T value);
template <class T>
T atomic_min(T* p, T value);
template <class T>
T atomic_cas(T* p, T expected, T value);

uint32_t semaphore_add(uint32_t* semaphore, uint32_t value);
// Gives up after a fixed number of looks: blocks that run one after another cannot wait for a later one.
void semaphore_acquire(uint32_t* semaphore, uint32_t value, const Site& at);

}  // namespace mtyolo::emulator

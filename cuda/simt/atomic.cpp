#include "cuda/simt/atomic.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "core/error.h"
#include "cuda/simt/engine.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/race.h"

namespace mtyolo::emulator {
namespace {

template <class T, class F>
T update(T* p, F&& f) {
  std::atomic_ref<T> ref(*p);
  T before = ref.load(std::memory_order_relaxed);
  while (!ref.compare_exchange_weak(before, f(before), std::memory_order_relaxed)) {
  }
  return before;
}

}  // namespace

template <class T>
T atomic_add(T* p, T value) {
  return std::atomic_ref<T>(*p).fetch_add(value, std::memory_order_relaxed);
}
template <class T>
T atomic_max(T* p, T value) {
  return update(p, [value](T before) { return std::max(before, value); });
}
template <class T>
T atomic_min(T* p, T value) {
  return update(p, [value](T before) { return std::min(before, value); });
}
template <class T>
T atomic_cas(T* p, T expected, T value) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}

#define MTYOLO_ATOMICS(T)          \
  template T atomic_add<T>(T*, T); \
  template T atomic_max<T>(T*, T); \
  template T atomic_min<T>(T*, T); \
  template T atomic_cas<T>(T*, T, T);
MTYOLO_ATOMICS(int32_t)
MTYOLO_ATOMICS(uint32_t)
MTYOLO_ATOMICS(long long)
MTYOLO_ATOMICS(unsigned long long)
#undef MTYOLO_ATOMICS

uint32_t semaphore_add(uint32_t* semaphore, uint32_t value) {
  race_semaphore(semaphore, true, true);
  return std::atomic_ref<uint32_t>(*semaphore).fetch_add(value, std::memory_order_acq_rel);
}

void semaphore_acquire(uint32_t* semaphore, uint32_t value, const Site& at) {
  constexpr int kLooks = 100000;
  const std::atomic_ref<uint32_t> ref(*semaphore);
  for (int i = 0; ref.load(std::memory_order_acquire) < value; ++i) {
    if (i == kLooks)
      engine().fail(at, fmt::format("semaphore stays at {}, {} was waited for", ref.load(), value));
    if (i % 64 == 63) std::this_thread::yield();
  }
  race_semaphore(semaphore, true, false);
}

}  // namespace mtyolo::emulator

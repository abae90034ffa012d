#include "core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mtyolo {
namespace {

thread_local bool inside_task = false;

void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Layers follow each other within microseconds: a short spin saves the wake-up, and a pool that waits longer
// gives its core back.
constexpr int kSpins = 4000;

// The parts of ThreadPool::loop_.
constexpr uint64_t kOpen = 1 << 16, kInside = kOpen - 1;
constexpr uint64_t number_of(uint64_t loop) { return loop >> 17; }

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, int(std::thread::hardware_concurrency()));
}

void set_flush_denormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040u);  // flush-to-zero, denormals-are-zero
#elif defined(__aarch64__)
  uint64_t control = 0;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" ::"r"(control | 1u << 24));  // FZ: both
#endif
}

ThreadPool::ThreadPool(int threads) {
  const int n = threads > 0 ? threads : available_cores();
  set_flush_denormals();
  try {
    for (int i = 1; i < n; ++i) workers_.emplace_back([this] { worker_loop(); });
  } catch (const std::system_error& e) {
    const int started = size();
    stop();
    throw Error({ExitCode::kRuntime,
                 "threads",
                 fmt::format("cannot start {} threads, only {}: {}", n, started, e.what()),
                 {},
                 {},
                 "use a smaller --threads"});
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    loop_.fetch_add(kOpen << 1);
  }
  wake_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::parallel_for(int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 0) return;
  if (count == 1 || workers_.empty() || inside_task) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    error_ = nullptr;
    next_.store(0);
    loop_.store((number_of(loop_.load()) + 1) << 17 | kOpen, std::memory_order_release);
  }
  wake_.notify_all();
  run_tasks();
  uint64_t loop = loop_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  for (int spin = 0; (loop & kInside) != 0; ++spin) {
    if (spin < kSpins) pause_cpu();
    else loop_.wait(loop, std::memory_order_acquire);
    loop = loop_.load(std::memory_order_acquire);
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::run_tasks() {
  inside_task = true;
  for (int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
    try {
      (*task_)(i);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      next_.store(count_);
    }
  }
  inside_task = false;
}

// Takes part in the loop of that number if it still goes on.
void ThreadPool::join(uint64_t number) {
  uint64_t loop = loop_.load(std::memory_order_relaxed);
  do {
    if (number_of(loop) != number || (loop & kOpen) == 0) return;
  } while (!loop_.compare_exchange_weak(loop, loop + 1, std::memory_order_acquire));
  run_tasks();
  if (((loop_.fetch_sub(1, std::memory_order_acq_rel) - 1) & (kOpen | kInside)) == 0) loop_.notify_one();
}

void ThreadPool::worker_loop() {
  set_flush_denormals();
  uint64_t seen = 0;
  while (true) {
    for (int spin = 0; spin < kSpins && number_of(loop_.load(std::memory_order_acquire)) == seen; ++spin)
      pause_cpu();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return number_of(loop_.load()) != seen; });
      seen = number_of(loop_.load());
      if (stopping_) return;
    }
    join(seen);
  }
}

}  // namespace mtyolo

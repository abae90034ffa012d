// parallel_for over a fixed set of worker threads.
//
// Tasks are handed out one by one, so uneven tasks balance. A task must compute the same bits whichever
// thread runs it; reductions are split by task, never by thread, so 1 and 2 threads give equal results. A
// loop waits only for workers that have begun it: one that the system does not schedule costs nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mtyolo {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // 0 = all cores this process may use; the caller counts as one
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return int(workers_.size()) + 1; }

  // Calls task(i) for 0 <= i < count and returns when all are done. The first exception is rethrown here.
  // Not reentrant: a task that calls parallel_for runs the inner loop on its own thread.
  void parallel_for(int64_t count, const std::function<void(int64_t)>& task);

 private:
  void stop();
  void worker_loop();
  void run_tasks();
  void join(uint64_t number);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // Number of the loop, whether workers may still join it, how many are in it.
  std::atomic<uint64_t> loop_{0};
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0;
  const std::function<void(int64_t)>* task_ = nullptr;
  std::exception_ptr error_;
  bool stopping_ = false;
};

int available_cores();  // cores this process may use (affinity mask)

// Sets flush-to-zero for denormals on the calling thread; every thread that runs kernels calls it once.
void set_flush_denormals();

}  // namespace mtyolo

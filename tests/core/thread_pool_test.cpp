#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <catch2/catch.hpp>
#include <chrono>
#include <numeric>
#include <thread>

using namespace mtyolo;

TEST_CASE("thread_pool: every task runs exactly once", "[core][thread_pool]") {
  const int threads = GENERATE(1, 2, 5);
  ThreadPool pool(threads);
  CHECK(pool.size() == threads);
  for (int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
    pool.parallel_for(count, [&](int64_t i) { ++calls[size_t(i)]; });
    CHECK(std::all_of(calls.begin(), calls.end(), [](const auto& c) { return c == 1; }));
  }
}

TEST_CASE("thread_pool: a negative count runs nothing", "[core][thread_pool]") {
  ThreadPool pool(2);
  pool.parallel_for(-3, [](int64_t) { FAIL("called"); });
  SUCCEED();
}

TEST_CASE("thread_pool: the caller gets the exception of a task and the pool keeps working",
          "[core][thread_pool]") {
  ThreadPool pool(GENERATE(1, 2));
  for (int round = 0; round < 3; ++round)
    CHECK_THROWS_WITH(pool.parallel_for(100,
                                        [](int64_t i) {
                                          if (i == 40) throw std::runtime_error("task 40");
                                        }),
                      "task 40");
  std::atomic<int> sum{0};
  pool.parallel_for(10, [&](int64_t i) { sum += int(i); });
  CHECK(sum == 45);
}

TEST_CASE("thread_pool: a loop inside a task runs on the task's thread", "[core][thread_pool]") {
  ThreadPool pool(2);
  std::atomic<int> inner{0}, elsewhere{0};
  pool.parallel_for(8, [&](int64_t) {
    const auto outer = std::this_thread::get_id();
    pool.parallel_for(5, [&](int64_t) {
      ++inner;
      elsewhere += std::this_thread::get_id() != outer;
    });
  });
  CHECK(inner == 40);
  CHECK(elsewhere == 0);
}

TEST_CASE("thread_pool: one and two threads compute the same bits", "[core][thread_pool]") {
  const auto run = [](int threads) {
    ThreadPool pool(threads);
    std::vector<float> sums(37);
    pool.parallel_for(37, [&](int64_t i) {
      for (int k = 1; k < 1000; ++k) sums[size_t(i)] += 1.0f / float(k + i);
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0f);
  };
  CHECK(run(1) == run(2));
}

TEST_CASE("thread_pool: zero threads means the cores this process may use", "[core][thread_pool]") {
  CHECK(ThreadPool(0).size() == available_cores());
  CHECK(available_cores() >= 1);
}

TEST_CASE("thread_pool: numbers too small for a normal float become zero on threads that run kernels",
          "[core][thread_pool]") {
  set_flush_denormals();
  const volatile float tiny = 1e-39f, small = 1e-30f;
  CHECK(std::bit_cast<uint32_t>(small * 1e-9f) == 0);
  CHECK(std::bit_cast<uint32_t>(tiny * 1e10f) == 0);
}

TEST_CASE("thread_pool: loops follow each other while workers are slow to wake", "[core][thread_pool]") {
  ThreadPool pool(4);
  std::vector<int64_t> sums(2000);
  for (size_t loop = 0; loop < sums.size(); ++loop) {
    std::atomic<int64_t> sum{0};
    const int64_t count = int64_t(loop % 7) + 1;
    pool.parallel_for(count, [&](int64_t i) { sum += i + 1; });
    sums[loop] = sum - count * (count + 1) / 2;
    if (loop % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
  }
  CHECK(std::count(sums.begin(), sums.end(), 0) == int64_t(sums.size()));
}

// The emulator finds what it is there to find, each error with its line. Kernels here are wrong on purpose.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "cuda/device/block.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/launch.h"
#include "cuda/simt/sanitizer.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::simt;
using namespace mtyolo::test;

namespace mtyolo::simt {
namespace {

// A kernel without arguments on one block of `threads`; the text of its error.
std::string fault_of(void (*kernel)(), uint32_t threads, uint32_t shared_bytes = 0) {
  return launch_error([&] { launch(kernel, {{1}, {threads}, shared_bytes}, {}); });
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
std::string here(int line) { return "tests/cuda/emulator_test.cpp:" + std::to_string(line); }

// What AddressSanitizer writes when it ends the process that runs f; a child is that process.
template <class F>
std::string report_of(F&& f) {
  std::FILE* file = std::tmpfile();
  const pid_t child = fork();
  if (child == 0) {
    dup2(fileno(file), STDERR_FILENO);
    f();
    wait_for_tested();
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  std::rewind(file);
  std::string text(1 << 16, ' ');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

constexpr int kPartLine = __LINE__ + 2;
MTYOLO_KERNEL part_barrier() {
  if (thread_index().x < 64) sync();
}
constexpr int kTwoLine = __LINE__ + 2;
MTYOLO_KERNEL two_barriers() {
  if (thread_index().x < 64) sync();
  else sync();
}
constexpr int kDeadLine = __LINE__ + 2;
MTYOLO_KERNEL deadlock() {
  if (warp_index() == 0) named_barrier(1, 64);
  else sync_warp();
  if (warp_index() == 1) named_barrier(2, 64);
}
MTYOLO_KERNEL other_mask() {
  if (lane_index() < 8) shfl(1, 0, 32, 0x0000ffffu);
  else shfl(1, 0, 32, kAllLanes);
}
MTYOLO_KERNEL foreign_mask() { shfl(1, 0, 32, 0x0000ffffu); }
MTYOLO_KERNEL ended_lane() {
  if (lane_index() == 3) return;
  sync_warp();
}
MTYOLO_KERNEL outside_source() {
  if (lane_index() < 16) shfl(1, 20, 32, 0x0000ffffu);
}
MTYOLO_KERNEL other_operation() {
  if (lane_index() < 16) sync_warp();
  else ballot(true);
}

MTYOLO_KERNEL copy_kernel(const float* from, float* to, int wait) {
  MTYOLO_SMEM(float, tile, [128]);
  const uint32_t t = thread_index().x;
  cp_async<4>(&tile[t], from + t);
  cp_async_commit();
  if (wait != 0) cp_async_wait<0>();
  to[t] = tile[t];
}
MTYOLO_KERNEL far_copy(const float* from) {
  MTYOLO_SMEM(float, tile, [32]);
  cp_async<4>(&tile[thread_index().x], from + 1 + thread_index().x);
  cp_async_commit();
  cp_async_wait<0>();
}
MTYOLO_KERNEL crooked_load(const float* from) { ld128(from + 1); }
constexpr int kFarLine = __LINE__ + 1;
MTYOLO_KERNEL far_store(float* to, int i) { to[i] = 1; }
constexpr int kFarSharedLine = __LINE__ + 3;
MTYOLO_KERNEL far_shared_store(int i) {
  MTYOLO_SMEM(float, tile, [32]);
  tile[i] = 1;
}
MTYOLO_KERNEL far_dynamic_load() {
  MTYOLO_DYNAMIC_SMEM(float, tile);
  ld128(tile + 60);
}
MTYOLO_KERNEL too_much_shared() {
  MTYOLO_SMEM(char, tile, [50000]);
  tile[0] = 0;
}

}  // namespace
}  // namespace mtyolo::simt

TEST_CASE("simt: a barrier that part of a block reaches is reported with its line") {
  CHECK(has(fault_of(part_barrier, 128), here(kPartLine)));
  CHECK(has(fault_of(part_barrier, 128), "barrier divergence: "));
  CHECK(has(fault_of(two_barriers, 128), here(kTwoLine) + ", others here"));
  CHECK(fault_of(part_barrier, 64) == "no error");
}

TEST_CASE("simt: threads that wait for each other for ever are reported with what they wait for") {
  const std::string text = fault_of(deadlock, 64);
  CHECK(has(text, "deadlock"));
  CHECK(has(text, "named barrier at " + here(kDeadLine)));
  CHECK(has(text, here(kDeadLine + 2)));
}

TEST_CASE("simt: masks of warp functions that do not fit are refused") {
  CHECK(has(fault_of(other_mask, 32), "warp divergence"));
  CHECK(has(fault_of(foreign_mask, 32), "lane 16 is not in its mask"));
  CHECK(has(fault_of(ended_lane, 32), "left the kernel"));
  CHECK(has(fault_of(outside_source, 32), "reads lane 20, which is not in the mask"));
  CHECK(has(fault_of(other_operation, 32), "warp divergence: vote"));
}

TEST_CASE("simt: a copy that is not waited for gives NaN and an error, a copy from outside an error") {
  const SimtBuffer<float> from(std::vector<float>(128, 2.0f)), to(128);
  const auto copy = [&](int wait) { launch(copy_kernel, {{1}, {128}}, {}, from.get(), to.get(), wait); };
  CHECK(has(launch_error([&] { copy(0); }), "before it waited for this asynchronous copy"));
  CHECK(std::isnan(to.values()[0]));
  CHECK(launch_error([&] { copy(1); }) == "no error");
  CHECK(to.values() == std::vector<float>(128, 2.0f));
  const SimtBuffer<float> few(32);
  CHECK(has(launch_error([&] {
              launch(far_copy, {{1}, {32}}, {}, few.get());
            }),
            "4 bytes at offset 128 of a buffer"));
}

TEST_CASE("simt: accesses outside a buffer or a shared variable, or not aligned, are found") {
  const SimtBuffer<float> buffer(32);
  CHECK(has(launch_error([&] { launch(crooked_load, {{1}, {32}}, {}, buffer.get()); }), "no multiple"));
  CHECK(has(fault_of(far_dynamic_load, 32, 252), "lie outside the shared variables"));
  CHECK(fault_of(far_dynamic_load, 32, 256) == "no error");
  CHECK(has(fault_of(too_much_shared, 32), "more shared memory"));
  CHECK(has(fault_of(part_barrier, 32, 240 << 10), "is the most there is"));
  CHECK(has(fault_of(part_barrier, 40), "expected blocks of 32"));
  if (emulator::kAsan) {  // it ends the process at the store
    for (const int i : {32, -1}) {
      const auto store = [&] { launch(far_store, {{1}, {32}}, {}, buffer.get(), i); };
      CHECK_THAT(report_of(store), Catch::Contains("use-after-poison") &&
                                       Catch::Contains("WRITE of size 4") && Catch::Contains(here(kFarLine)));
    }
    CHECK_THAT(report_of([&] {
                 launch(far_shared_store, {{1}, {32}}, {}, 32);
               }),
               Catch::Contains(here(kFarSharedLine)));  // or UndefinedBehaviorSanitizer
    return;
  }
  CHECK(has(launch_error([&] { launch(far_store, {{1}, {32}}, {}, buffer.get(), 33); }), "at offset 132"));
  CHECK(has(launch_error([&] { launch(far_store, {{1}, {32}}, {}, buffer.get(), -1); }), "at offset -4"));
  CHECK(has(launch_error([&] {
              launch(far_shared_store, {{1}, {32}}, {}, 33);
            }),
            "past the end of variable 1"));
}

namespace mtyolo::simt {
namespace {

MTYOLO_KERNEL ring_kernel(int* out, int barrier) {  // wrong without the barrier at the end of a step
  MTYOLO_SMEM(int, slot, [1]);
  for (int step = 0; step < 4; ++step) {
    if (thread_index().x == 0) slot[0] = step;
    sync();
    if (thread_index().x >= 32) out[step * 64 + int(thread_index().x)] = slot[0];
    if (barrier) sync();
  }
}
// Each thread sums another order of arrival.
MTYOLO_KERNEL arrival_kernel(uint32_t* counter, uint32_t* out) {
  out[thread_index().x] = atomic_add(counter, 1u);
}

int wrong_steps(int barrier) {
  const SimtBuffer<int> out(256);
  launch(ring_kernel, {{1}, {64}}, {}, out.get(), barrier);
  int wrong = 0;
  for (int step = 0; step < 4; ++step) wrong += out.values()[size_t(step * 64 + 40)] != step;
  return wrong;
}

}  // namespace
}  // namespace mtyolo::simt

TEST_CASE("simt: a slot overwritten too early shows when a warp runs ahead, and not in order") {
  emulator::Options o = emulator::options();
  int wrong = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    o.order = emulator::Order::kWarpGreedy;
    o.seed = seed;
    const WithOptions with(o);
    wrong += wrong_steps(0);
    CHECK(wrong_steps(1) == 0);
  }
  CHECK(wrong > 0);
}

TEST_CASE("simt: a failure repeats with its seed, and runs of one launch that differ are refused") {
  const SimtBuffer<uint32_t> out(64);
  const auto run = [&](uint64_t seed, int repeat) {
    emulator::Options o = emulator::options();
    o.order = emulator::Order::kShuffle;
    o.seed = seed;
    o.repeat = repeat;
    const WithOptions with(o);
    const SimtBuffer<uint32_t> counter(std::vector<uint32_t>{0});
    launch(arrival_kernel, {{1}, {64}}, {}, counter.get(), out.get());
    return out.values();
  };
  CHECK(run(1, 1) == run(1, 1));
  CHECK(run(1, 1) != run(2, 1));
  CHECK(has(launch_error([&] { run(1, 2); }), "different bytes for two seeds"));
}

namespace mtyolo::simt {
namespace {

// Splits of a sum, added in order by the block that is last to come.
MTYOLO_KERNEL split_sum(const float* x, float* partial, uint32_t* counter, float* sum) {
  const float part = block_sum(x[block_index().x * 64 + thread_index().x]);
  if (thread_index().x == 0) partial[block_index().x] = part;
  if (!last_block(counter, grid_size().x)) return;
  if (thread_index().x != 0) return;
  float total = 0;
  for (uint32_t b = 0; b < grid_size().x; ++b) total += partial[b];
  *sum = total;
}
MTYOLO_KERNEL spin(uint32_t* semaphore) { semaphore_acquire(semaphore, 1); }

}  // namespace
}  // namespace mtyolo::simt

TEST_CASE("simt: the last block sums what all wrote, in any order of blocks and with several workers") {
  const SimtBuffer<float> x(std::vector<float>(64 * 5, 0.5f)), partial(5), sum(1);
  for (const int workers : {1, 2}) {
    emulator::Options o = emulator::options();
    o.order = emulator::Order::kBlockShuffle;
    o.workers = workers;
    const WithOptions with(o);
    const SimtBuffer<uint32_t> counter(std::vector<uint32_t>{0});
    launch(split_sum, {{5}, {64}}, {}, x.get(), partial.get(), counter.get(), sum.get());
    CHECK(sum.values()[0] == 160.0f);
    CHECK(counter.values()[0] == 0);
  }
  const SimtBuffer<uint32_t> never(std::vector<uint32_t>{0});
  CHECK(has(launch_error([&] { launch(spin, {{1}, {32}}, {}, never.get()); }), "semaphore stays at 0"));
}

TEST_CASE("simt: a missing event shows when streams run at random") {
  emulator::Options o = emulator::options();
  o.streams = emulator::StreamMode::kRandom;
  int early = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    o.seed = seed;
    const WithOptions with(o);
    for (const bool ordered : {false, true}) {
      emulator::Stream first, second;
      const auto event = std::make_shared<emulator::Event>();
      int value = 0, seen = -1;
      first.enqueue([&] { value = 1; });
      first.record(event);
      if (ordered) second.wait(event);
      second.enqueue([&] { seen = value; });
      CHECK(seen == -1);
      second.synchronize();
      first.synchronize();
      if (ordered) CHECK(seen == 1);
      else early += seen == 0;
    }
  }
  CHECK(early > 0);
}

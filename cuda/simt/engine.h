// The emulator's heart: runs the threads of one block at a time, each on a stack of its own, and hands the
// processor on where one has to wait. What a kernel may call stands in collective.h, memory.h, async.h,
// tile.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/dims.h"
#include "cuda/simt/arena.h"
#include "cuda/simt/counters.h"
#include "cuda/simt/fiber.h"
#include "cuda/simt/options.h"
#include "cuda/simt/schedule.h"
#include "cuda/simt/site.h"

namespace mtyolo::emulator {

// One launch. `kernel` calls the kernel with its arguments.
struct Grid {
  Dim3 grid, block;
  size_t shared_bytes = 0;
  Site site;
  std::function<void()> kernel;
  uint64_t number = 0;  // of the launch in this process
};
// Runs all blocks, options().repeat times. Throws Error{"simt"} with block, thread and source line of what
// went wrong, and the options that repeat it.
void run_grid(Grid grid);
void restart_launch_numbers();

struct Coroutine;
struct Hopper;
struct PendingCopy {
  void* to = nullptr;
  const void* from = nullptr;  // null: zero fill
  uint32_t bytes = 0, group = 0;
  bool performed = false;
  Site at;
};
struct Thread {
  Dim3 index;
  uint32_t number = 0;  // in the block, x fastest; lane = number % 32
  Coroutine* coroutine = nullptr;
  const char* waits_for = "";
  Site at;
  std::vector<PendingCopy> copies;
  uint32_t copy_groups = 0;  // committed so far
  uint32_t lane() const { return number % 32; }
  uint32_t warp() const { return number / 32; }
};

// Called by the last lane to arrive: `lanes[i]` is what lane i brought, null outside the mask. Also the
// identity of the operation.
using Combine = void (*)(void* const* lanes, const Site& at);
struct WarpSlot {
  uint32_t mask = 0, arrived = 0;
  Combine combine = nullptr;
  const char* name = "";
  Site at;
  void* lanes[32] = {};
};
struct Warp {
  uint32_t ended = 0;
  uint64_t epoch = 0;  // full sync_warps so far
  std::vector<WarpSlot> slots;
};
struct Barrier {
  uint32_t arrived = 0;
  uint32_t expected = 0;
  Site at;
  int votes = 0, passed_votes = 0;  // sums: of those that wait, of the barrier passed last
  std::vector<uint32_t> waiting;
};

class Engine {
 public:
  static constexpr uint32_t kBarriers = 16;  // 0 is sync(), 1..15 are named

  Engine();
  ~Engine();

  void run_block(const Grid& grid, uint64_t block);

  Thread& thread() { return *current_; }
  Warp& warp() { return warps_[current_->warp()]; }
  const Grid& grid() const { return *grid_; }
  Dim3 block_index() const { return block_index_; }
  Arena& arena() { return arena_; }
  AccessLog& accesses() { return accesses_; }
  RandomStream& random() { return random_; }
  uint32_t ended() const { return ended_; }
  uint32_t threads() const { return uint32_t(threads_.size()); }
  Barrier& barrier(uint32_t id) { return barriers_[id]; }
  uint64_t epoch = 0;  // block barriers so far
  Hopper& hopper();    // made when first asked for
  // For each 128 bytes of shared memory the thread that wrote it last (number + 1) and has not fenced it
  // since.
  std::vector<uint32_t> written_by;

  // The current thread gives way until another calls wake for it.
  void wait(const char* what, const Site& at);
  void wake(uint32_t thread) { ready_[thread / 32] |= 1u << (thread % 32); }
  // Ends the block: every thread that waits is woken once and leaves its kernel by an exception.
  [[noreturn]] void fail(const Site& at, const std::string& message);
  // The same where nothing may be thrown: the caller goes on, everybody leaves where they next wait.
  void report(const Site& at, const std::string& message);
  void check_failed() const;  // leaves the kernel if another thread has failed

 private:
  static void coroutine_entry();
  void run_current();
  void end_current();
  void resume(Thread& next);
  Coroutine* take_coroutine();
  int pick();
  void report_deadlock();

  const Grid* grid_ = nullptr;
  Dim3 block_index_;
  Arena arena_;
  AccessLog accesses_;
  RandomStream random_{0, 0, 0};
  std::unique_ptr<Schedule> schedule_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<uint32_t> ready_;
  std::vector<Barrier> barriers_;
  Thread* current_ = nullptr;
  uint32_t ended_ = 0;
  std::unique_ptr<Hopper> hopper_;
  std::string error_;
  Context main_;
  std::vector<std::unique_ptr<Coroutine>> coroutines_;
  std::vector<Coroutine*> idle_;
};

// The engine of the block that runs on this thread of the host; null outside kernels.
inline thread_local Engine* running_engine = nullptr;
inline Engine& engine() { return *running_engine; }

}  // namespace mtyolo::emulator

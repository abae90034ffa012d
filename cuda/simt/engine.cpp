#include "cuda/simt/engine.h"

#include <algorithm>
#include <atomic>
#include <utility>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "core/error.h"
#include "core/thread_pool.h"
#include "cuda/simt/hopper.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/race.h"

namespace mtyolo::emulator {
namespace {

struct Abandon {};  // leaves a kernel whose block has failed

std::atomic<uint64_t> launch_number{0};

std::string place(const Dim3& p) { return fmt::format("({},{},{})", p.x, p.y, p.z); }

Dim3 position(uint64_t number, const Dim3& size) {
  return {uint32_t(number % size.x), uint32_t(number / size.x % size.y), uint32_t(number / size.x / size.y)};
}

// Kernels see denormal numbers, as on the device; threads of this program flush them.
class KeepDenormals {
 public:
#ifdef __SSE2__
  KeepDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ & ~0x8040u); }
  ~KeepDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  KeepDenormals() {}
  ~KeepDenormals() {}
#endif
};

}  // namespace

// A stack that runs one thread after another; a thread that never waits leaves it to the next without a
// switch.
struct Coroutine {
  explicit Coroutine(void (*entry)()) : stack(entry) {}
  FiberStack stack;
};

std::string to_string(const Site& site) {
  std::string_view file = site.file;
  for (const std::string_view folder : {"/tests/", "/cuda/"}) {
    const size_t at = file.rfind(folder);
    if (at == file.npos) continue;
    file.remove_prefix(at + 1);
    break;
  }
  return fmt::format("{}:{}", file, site.line);
}

Engine::Engine() : written_by(Arena::kSpace / 128), barriers_(kBarriers) {}
Engine::~Engine() = default;

Hopper& Engine::hopper() {
  if (hopper_ == nullptr) hopper_ = std::make_unique<Hopper>(threads());
  return *hopper_;
}

void Engine::run_block(const Grid& grid, uint64_t block) {
  grid_ = &grid;
  block_index_ = position(block, grid.grid);
  const auto count = uint32_t(grid.block.volume());
  random_ = RandomStream(options().seed, uint32_t(grid.number), block);
  schedule_ = std::make_unique<Schedule>(options().order, count, random_);
  threads_.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    threads_[i] = Thread{};
    threads_[i].index = position(i, grid.block);
    threads_[i].number = i;
  }
  warps_.assign(count / 32, Warp{});
  ready_.assign(count / 32, ~0u);
  for (Barrier& b : barriers_) b = Barrier{};
  ended_ = 0;
  epoch = 0;
  error_.clear();
  hopper_.reset();
  std::fill(written_by.begin(), written_by.end(), 0u);
  arena_.begin_block(grid.shared_bytes);
  race_begin_block(grid.number, block);
  accesses_.begin_block();

  const KeepDenormals denormals;
  Engine* outer = std::exchange(running_engine, this);
  current_ = nullptr;
  current_ = &threads_[size_t(schedule_->next(ready_, -1))];
  current_->coroutine = take_coroutine();
  switch_context(main_, current_->coroutine->stack.context);
  accesses_.end_block();
  running_engine = outer;
  if (error_.empty() && hopper_ != nullptr) error_ = hopper_->end_block();
  if (error_.empty()) error_ = arena_.end_block();
  else arena_.end_block();
  if (!error_.empty())
    mtyolo::fail(ExitCode::kRuntime, "simt", "kernel launched at {}, block {}: {} [{}]", to_string(grid.site),
                 place(block_index_), error_, to_string(options()));
}

void Engine::coroutine_entry() {
  finish_first_switch();
  for (;;) {
    Engine& self = engine();  // a stack may serve another block later, never another host thread
    Coroutine* mine = self.current_->coroutine;
    self.run_current();
    self.end_current();
    const int next = self.pick();
    if (next < 0) {
      self.idle_.push_back(mine);
      switch_context(mine->stack.context, self.main_);
      continue;
    }
    self.current_ = &self.threads_[size_t(next)];
    if (self.current_->coroutine == nullptr) {
      self.current_->coroutine = mine;
      continue;
    }
    self.idle_.push_back(mine);
    switch_context(mine->stack.context, self.current_->coroutine->stack.context);
  }
}

void Engine::run_current() {
  try {
    if (error_.empty()) grid_->kernel();
    if (error_.empty() && !current_->copies.empty())
      fail(current_->copies.front().at, "a thread ended before it waited for this asynchronous copy");
    if (error_.empty() && hopper_ != nullptr)
      if (const std::string left = hopper_->end_thread(); !left.empty()) fail({}, left);
  } catch (const Abandon&) {
  } catch (const std::exception& e) {
    report({}, e.what());
  }
}

// A thread has left its kernel, so nobody may go on waiting for it.
void Engine::end_current() {
  const uint32_t thread = current_->number, bit = 1u << current_->lane();
  ready_[thread / 32] &= ~bit;
  ++ended_;
  Warp& mine = warps_[thread / 32];
  mine.ended |= bit;
  if (!error_.empty()) return;
  for (const WarpSlot& slot : mine.slots)
    if (slot.mask & bit)
      report(slot.at, fmt::format("{} waits for lane {}, which has left the kernel", slot.name, thread % 32));
  const Barrier& all = barriers_[0];
  if (!all.waiting.empty())
    report(all.at, fmt::format("barrier divergence: {} threads wait here, thread {} has left the kernel",
                               all.waiting.size(), place(current_->index)));
}

int Engine::pick() {
  const int current = int(current_->number);
  int next = schedule_->next(ready_, current);
  while (next < 0 && ended_ != threads() && hopper_ != nullptr && hopper_->deliver(*this))
    next = schedule_->next(ready_, current);
  if (next >= 0 || ended_ == threads()) return next;
  report_deadlock();
  return schedule_->next(ready_, current);
}

Coroutine* Engine::take_coroutine() {
  if (idle_.empty()) {
    coroutines_.push_back(std::make_unique<Coroutine>(&coroutine_entry));
    return coroutines_.back().get();
  }
  Coroutine* taken = idle_.back();
  idle_.pop_back();
  return taken;
}

void Engine::resume(Thread& next) {
  Coroutine* mine = current_->coroutine;
  if (&next == current_) return;
  current_ = &next;
  if (next.coroutine == nullptr) next.coroutine = take_coroutine();
  switch_context(mine->stack.context, next.coroutine->stack.context);
}

void Engine::wait(const char* what, const Site& at) {
  check_failed();
  Thread& self = *current_;
  self.waits_for = what;
  self.at = at;
  ready_[self.warp()] &= ~(1u << self.lane());
  resume(threads_[size_t(pick())]);
  self.waits_for = "";
  check_failed();
}

void Engine::check_failed() const {
  if (!error_.empty()) throw Abandon{};
}

void Engine::fail(const Site& at, const std::string& message) {
  report(at, message);
  throw Abandon{};
}

void Engine::report(const Site& at, const std::string& message) {
  if (!error_.empty()) return;
  error_ = fmt::format("thread {}: {}{}{}", place(current_->index), at.line == 0 ? "" : to_string(at),
                       at.line == 0 ? "" : ": ", message);
  for (const Thread& t : threads_)
    if ((warps_[t.warp()].ended >> t.lane() & 1) == 0) wake(t.number);
}

void Engine::report_deadlock() {
  std::string text = "deadlock, nobody can go on:";
  constexpr size_t kShown = 8;
  size_t shown = 0;
  std::vector<std::string> sites;
  for (const Thread& t : threads_) {
    if (*t.waits_for == 0 || shown == kShown) continue;
    const std::string site = fmt::format("{} at {}", t.waits_for, to_string(t.at));
    if (std::find(sites.begin(), sites.end(), site) != sites.end()) continue;
    sites.push_back(site);
    text += fmt::format(" thread {} waits for {};", place(t.index), site);
    ++shown;
  }
  text.pop_back();
  if (hopper_ != nullptr) text += hopper_->pending_barriers();
  report({}, text);
}

void restart_launch_numbers() {
  launch_number = 0;
  race_restart();
}

namespace {

void run_blocks(const Grid& grid) {
  thread_local Engine mine;
  const auto blocks = int64_t(grid.grid.volume());
  std::vector<int> order;
  if (options().order == Order::kBlockShuffle) {
    RandomStream random(options().seed, uint32_t(grid.number), ~uint64_t{0});
    order = random_order(int(blocks), random);
  }
  const auto run = [&](int64_t i) {
    thread_local Engine worker;
    (options().workers == 1 ? mine : worker).run_block(grid, uint64_t(order.empty() ? i : order[size_t(i)]));
  };
  if (options().workers == 1) {
    for (int64_t i = 0; i < blocks; ++i) run(i);
  } else {
    ThreadPool(options().workers).parallel_for(blocks, run);
  }
  check_red_zones(grid.site);
}

}  // namespace

void run_grid(Grid grid) {
  const uint64_t threads = grid.block.volume();
  if (threads == 0 || threads > 1024 || threads % 32 != 0 || grid.grid.volume() == 0)
    fail(ExitCode::kRuntime, "simt",
         "launch at {}: grid {}, block {}: expected blocks of 32, 64 .. 1024 threads", to_string(grid.site),
         place(grid.grid), place(grid.block));
  if (grid.shared_bytes > Arena::kMaxBytes)
    fail(ExitCode::kRuntime, "simt", "launch at {}: {} bytes of shared memory, {} is the most there is",
         to_string(grid.site), grid.shared_bytes, Arena::kMaxBytes);
  grid.number = launch_number++;
  if (options().repeat == 1) {
    run_blocks(grid);
    return;
  }
  const MemorySnapshot before = snapshot_memory();
  run_blocks(grid);
  const MemorySnapshot first = snapshot_memory();
  const uint64_t number = grid.number;
  for (int i = 1; i < options().repeat; ++i) {
    restore_memory(before);
    grid.number = number + (uint64_t(i) << 24);  // other draws
    run_blocks(grid);
    check_same_memory(first, grid.site);
  }
}

}  // namespace mtyolo::emulator

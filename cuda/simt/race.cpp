#include "cuda/simt/race.h"

#include <set>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "cuda/simt/engine.h"
#include "cuda/simt/memory.h"

namespace mtyolo::emulator {
namespace {

// Where an access came from: a file and line, or a return address with line 0.
struct Origin {
  const void* where = nullptr;
  uint32_t line = 0;
};
struct Touch {
  uint64_t epoch = 0, warp_epoch = 0;  // 0: never
  uint32_t thread = 0;
  Origin origin;
};
// Of one byte of shared memory. The last reader alone would hide a race behind the writer's own read, so the
// lanes of the last reading warp are kept, and one reader of another warp.
struct Cell {
  Touch writer, reader, other_reader;
  uint32_t lanes = 0;  // of reader's warp that read in reader's epochs
};
struct GlobalCell {
  int64_t writer = -1, reader = -1, other_reader = -1;  // blocks
  Origin written, read;
};

struct State {
  std::string (*describe)(const void* pc) = nullptr;
  std::vector<Cell> shared{Arena::kSpace};
  uint64_t base =
      1;  // added to the block's epochs, so that cells of an earlier block are older than all of this one
  uint64_t launch = ~uint64_t{0};
  int64_t block = 0;
  std::unordered_map<uintptr_t, GlobalCell> global;             // by byte
  std::unordered_map<const void*, std::set<int64_t>> released;  // semaphore -> blocks
  std::set<int64_t> seen;                                       // blocks whose writes this block may read
};
State& state() {
  static State value;
  return value;
}

std::string text(const Origin& o) {
  if (o.line != 0) return to_string(Site{static_cast<const char*>(o.where), o.line, 0});
  return state().describe(o.where);
}

void report(const char* what, const Origin& now, const char* before, const Origin& then,
            const std::string& who) {
  engine().report({}, fmt::format("race: {} at {} and {} at {} by {}, nothing between orders them", what,
                                  text(now), before, text(then), who));
}

bool unordered(const Touch& before, const Touch& now) {
  if (before.epoch != now.epoch || before.thread == now.thread) return false;
  return before.thread / 32 != now.thread / 32 || before.warp_epoch == now.warp_epoch;
}

void shared_access(Cell& cell, const Touch& now, bool write) {
  const auto conflict = [&](const Touch& t, const char* what) {
    report(write ? "write" : "read", now.origin, what, t.origin, fmt::format("thread {}", t.thread));
  };
  if (unordered(cell.writer, now)) return conflict(cell.writer, "write");
  const uint32_t bit = 1u << (now.thread % 32);
  const Touch& r = cell.reader;
  if (write) {
    const bool same_warp = r.thread / 32 == now.thread / 32;
    const bool lanes_race =
        same_warp && r.epoch == now.epoch && r.warp_epoch == now.warp_epoch && (cell.lanes & ~bit);
    if (lanes_race || unordered(r, now)) return conflict(r, "read");
    if (unordered(cell.other_reader, now)) return conflict(cell.other_reader, "read");
    cell.writer = now;
    return;
  }
  if (r.thread / 32 != now.thread / 32) cell.other_reader = r;
  const bool again =
      r.thread / 32 == now.thread / 32 && r.epoch == now.epoch && r.warp_epoch == now.warp_epoch;
  cell.lanes = again ? cell.lanes | bit : bit;
  cell.reader = now;
}

void global_access(uintptr_t byte, const Origin& origin, bool write) {
  State& s = state();
  GlobalCell& cell = s.global[byte];
  const auto apart = [&](int64_t block) { return block >= 0 && block != s.block && !s.seen.contains(block); };
  const char* what = write ? "write" : "read";
  if (apart(cell.writer))
    return report(what, origin, "write", cell.written, fmt::format("block {}", cell.writer));
  if (write) {
    for (const int64_t reader : {cell.reader, cell.other_reader})
      if (apart(reader)) return report(what, origin, "read", cell.read, fmt::format("block {}", reader));
    cell.writer = s.block;
    cell.written = origin;
    return;
  }
  if (cell.reader != s.block) cell.other_reader = cell.reader;
  cell.reader = s.block;
  cell.read = origin;
}

}  // namespace

void enable_race_checker(std::string (*describe)(const void* pc)) {
  state().describe = describe;
  race_checking = true;
}

void race_restart() { state().launch = ~uint64_t{0}; }

void race_begin_block_slow(uint64_t launch, uint64_t block) {
  State& s = state();
  s.base += uint64_t{1} << 32;
  s.block = int64_t(block);
  s.seen.clear();
  if (launch == s.launch) return;
  s.launch = launch;
  s.global.clear();
  s.released.clear();
}

void race_access_slow(const void* p, size_t bytes, bool write, const Site* site, const void* pc) {
  if (running_engine == nullptr) return;
  Engine& e = engine();
  const Origin origin = site != nullptr ? Origin{site->file, site->line} : Origin{pc, 0};
  if (e.arena().contains(p)) {
    const Touch now{state().base + e.epoch, e.warp().epoch, e.thread().number, origin};
    if (write) e.written_by[e.arena().offset(p) / 128] = e.thread().number + 1;
    for (size_t i = 0; i < bytes; ++i) shared_access(state().shared[e.arena().offset(p) + i], now, write);
  } else if (is_device_memory(p)) {
    for (size_t i = 0; i < bytes; ++i) global_access(reinterpret_cast<uintptr_t>(p) + i, origin, write);
  }
}

void race_semaphore_slow(const void* semaphore, bool acquire, bool release) {
  State& s = state();
  auto& blocks = s.released[semaphore];
  if (acquire) s.seen.insert(blocks.begin(), blocks.end());
  if (release) {
    blocks.insert(s.seen.begin(), s.seen.end());
    blocks.insert(s.block);
  }
}

}  // namespace mtyolo::emulator

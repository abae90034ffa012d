#include "cuda/simt/collective.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo::emulator {
namespace {

// The slot that this lane joins, made if it is the first; ends the block on disagreement.
WarpSlot& join(Engine& e, const char* name, uint32_t mask, Combine combine, const Site& at) {
  Warp& warp = e.warp();
  const uint32_t bit = 1u << e.thread().lane();
  if ((mask & bit) == 0)
    e.fail(at, fmt::format("{}: lane {} is not in its mask {:#010x}", name, e.thread().lane(), mask));
  if (mask & warp.ended)
    e.fail(at, fmt::format("{}: the mask {:#010x} names lanes that have left the kernel ({:#010x})", name,
                           mask, mask & warp.ended));
  for (WarpSlot& slot : warp.slots) {
    if ((slot.mask & mask) == 0) continue;
    if (slot.mask != mask || slot.combine != combine || !(slot.at == at))
      e.fail(at, fmt::format("warp divergence: {} with mask {:#010x} here, {} with mask {:#010x} at {}", name,
                             mask, slot.name, slot.mask, to_string(slot.at)));
    return slot;
  }
  warp.slots.push_back({mask, 0, combine, name, at, {}});
  return warp.slots.back();
}

}  // namespace

void warp_collective(const char* name, uint32_t mask, void* mine, Combine combine, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  WarpSlot& slot = join(e, name, mask, combine, at);
  slot.lanes[e.thread().lane()] = mine;
  slot.arrived |= 1u << e.thread().lane();
  if (slot.arrived != mask) return e.wait(name, at);
  combine(slot.lanes, at);
  for (uint32_t i = 0; i < 32; ++i)
    if (mask >> i & 1) e.wake(e.thread().warp() * 32 + i);
  Warp& warp = e.warp();
  warp.slots.erase(warp.slots.begin() + (&slot - warp.slots.data()));
}

void sync_warp(uint32_t mask, const Site& at) {
  char mine = 0;
  warp_collective(
      "sync_warp", mask, &mine,
      [](void* const* lanes, const Site&) {
        if (std::count(lanes, lanes + 32, nullptr) == 0) ++engine().warp().epoch;
      },
      at);
}

uint32_t ballot(uint32_t mask, bool vote, const Site& at) {
  uint32_t mine = vote;
  warp_collective(
      "vote", mask, &mine,
      [](void* const* lanes, const Site&) {
        uint32_t bits = 0;
        for (uint32_t i = 0; i < 32; ++i)
          if (lanes[i] != nullptr) bits |= *static_cast<uint32_t*>(lanes[i]) << i;
        for (uint32_t i = 0; i < 32; ++i)
          if (lanes[i] != nullptr) *static_cast<uint32_t*>(lanes[i]) = bits;
      },
      at);
  return mine;
}

uint32_t shuffle_source(Shuffle kind, uint32_t lane, uint32_t argument, uint32_t width) {
  const uint32_t first = lane & ~(width - 1), place = lane & (width - 1);
  switch (kind) {
    case Shuffle::kUp:
      return place >= argument ? lane - argument : lane;
    case Shuffle::kDown:
      return place + argument < width ? lane + argument : lane;
    case Shuffle::kXor:
      return (lane ^ argument) < first + width ? lane ^ argument : lane;
    case Shuffle::kIndex:
      break;
  }
  return first + (argument & (width - 1));
}

void bad_shuffle(uint32_t lane, uint32_t source, const Site& at) {
  engine().fail(at, fmt::format("shuffle: lane {} reads lane {}, which is not in the mask", lane, source));
}

int sync_block(int vote, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  Barrier& b = e.barrier(0);
  if (e.ended() != 0)
    e.fail(at,
           fmt::format("barrier divergence: {} threads have left the kernel before this barrier", e.ended()));
  if (!b.waiting.empty() && !(b.at == at))
    e.fail(at, fmt::format("barrier divergence: {} threads wait at {}, others here", b.waiting.size(),
                           to_string(b.at)));
  b.at = at;
  b.votes += vote;
  if (b.waiting.size() + 1 < e.threads()) {
    b.waiting.push_back(e.thread().number);
    e.wait("sync", at);
    return b.passed_votes;
  }
  for (const uint32_t thread : b.waiting) e.wake(thread);
  b.waiting.clear();
  b.passed_votes = b.votes;
  b.votes = 0;
  ++e.epoch;
  return b.passed_votes;
}

void named_barrier(uint32_t id, uint32_t threads, bool wait, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  if (id == 0 || id >= Engine::kBarriers || threads == 0 || threads % 32 != 0 || threads > e.threads())
    e.fail(at, fmt::format("named barrier {} of {} threads: expected 1..15 and a multiple of 32 up to {}", id,
                           threads, e.threads()));
  Barrier& b = e.barrier(id);
  if (b.arrived != 0 && b.expected != threads)
    e.fail(at, fmt::format("named barrier {}: {} threads expected here, {} at {}", id, threads, b.expected,
                           to_string(b.at)));
  b.expected = threads;
  b.at = at;
  if (++b.arrived < threads) {
    if (!wait) return;
    b.waiting.push_back(e.thread().number);
    return e.wait("named barrier", at);
  }
  for (const uint32_t thread : b.waiting) e.wake(thread);
  b.waiting.clear();
  b.arrived = 0;
  if (threads == e.threads()) ++e.epoch;
}

}  // namespace mtyolo::emulator

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "cuda/simt/hopper.h"

namespace mtyolo::emulator {
namespace {

constexpr uint64_t kMark = 0x7ff85a5a6d626172;  // what the bytes of a barrier hold
constexpr int64_t kMaxBytes = (1 << 20) - 1;

}  // namespace

Hopper::Barrier& Hopper::barrier(const uint64_t* p, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  const auto found = barriers.find(p);
  if (found == barriers.end()) e.fail(at, "mbarrier: not initialised");
  if (*p != kMark) e.fail(at, "mbarrier: its bytes were overwritten");
  return found->second;
}

// Ends the phase when nothing is missing any more.
void Hopper::settle(Engine& e, Barrier& b, const Site& at) {
  if (b.missing != 0 || b.bytes > 0) return;
  if (b.bytes < 0)
    return e.report(at, fmt::format("mbarrier: {} bytes more than its phase expected", -b.bytes));
  if (!b.woken.empty())
    return e.report(at, fmt::format("mbarrier: a phase ends before thread {} has seen the one before end",
                                    b.woken.front()));
  ++b.phase;
  b.missing = b.count;
  for (const uint32_t thread : b.waiting) e.wake(thread);
  b.woken.swap(b.waiting);
}

void mbarrier_init(uint64_t* p, uint32_t arrivals, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  if (!e.arena().holds(p, 8) || e.arena().offset(p) % 8 != 0)
    e.fail(at, "mbarrier: must be 8 bytes of shared memory at a multiple of 8");
  if (arrivals == 0 || arrivals > kMaxBytes) e.fail(at, "mbarrier: expected 1..2^20-1 arrivals");
  Hopper& h = e.hopper();
  if (h.barriers.contains(p)) e.fail(at, "mbarrier: initialised twice");
  *p = kMark;
  Hopper::Barrier& b = h.barriers[p];
  b.count = b.missing = arrivals;
  b.initialiser = e.thread().number;
  b.at = at;
}

void fence_barrier_init() {
  Engine& e = engine();
  for (auto& [p, b] : e.hopper().barriers) b.fenced = b.fenced || b.initialiser == e.thread().number;
}

void fence_proxy_async() {
  Engine& e = engine();
  std::replace(e.written_by.begin(), e.written_by.end(), e.thread().number + 1, 0u);
}

void mbarrier_arrive(uint64_t* p, uint32_t bytes, const Site& at) {
  Engine& e = engine();
  Hopper& h = e.hopper();
  Hopper::Barrier& b = h.barrier(p, at);
  if (b.missing == 0)
    e.fail(at, fmt::format("mbarrier: more than {} arrivals in a phase ({} bytes are still to come)", b.count,
                           b.bytes));
  --b.missing;
  b.bytes += bytes;
  if (b.bytes > kMaxBytes) e.fail(at, "mbarrier: more than 2^20-1 bytes expected");
  h.settle(e, b, at);
  e.check_failed();
}

bool mbarrier_test(uint64_t* p, uint32_t parity, const Site& at) {
  Engine& e = engine();
  if (parity > 1) e.fail(at, fmt::format("mbarrier: parity {}, expected 0 or 1", parity));
  return e.hopper().barrier(p, at).phase % 2 != parity;
}

void mbarrier_wait(uint64_t* p, uint32_t parity, const Site& at) {
  if (mbarrier_test(p, parity, at)) return;
  Engine& e = engine();
  const uint32_t thread = e.thread().number;
  Hopper::Barrier& b = e.hopper().barriers.at(p);
  b.waiting.push_back(thread);
  e.wait("mbarrier", at);
  std::erase(b.woken, thread);
}

std::string Hopper::pending_barriers() const {
  std::string text;
  for (const auto& [p, b] : barriers)
    if (!b.waiting.empty())
      text += fmt::format("; mbarrier of {} at offset {}: phase {} lacks {} arrivals and {} bytes",
                          to_string(b.at), shared_offset(p), b.phase, b.missing, b.bytes);
  return text;
}

std::string Hopper::end_thread() const {
  const ThreadState& t = threads[engine().thread().number];
  if (t.accumulators.empty()) return "";
  return fmt::format("{}: a thread ended before it waited for this wgmma", to_string(t.at));
}

std::string Hopper::end_block() const {
  if (!boxes.empty()) return fmt::format("{}: nobody waited for this box copy", to_string(boxes.front().at));
  for (const auto& [p, b] : barriers)
    if (b.bytes != 0)
      return fmt::format("{}: mbarrier: {} bytes {} when the block ended", to_string(b.at),
                         b.bytes < 0 ? -b.bytes : b.bytes,
                         b.bytes < 0 ? "too many had come" : "were missing");
  uint32_t registers = 0;
  for (size_t i = 0; i < threads.size(); ++i) {
    registers += threads[i].registers;
    if (threads[i].registers != threads[i / 128 * 128].registers)
      return "the warps of a warpgroup set different numbers of registers";
  }
  return registers > 65536 ? fmt::format("{} registers set, a multiprocessor has 65536", registers) : "";
}

void set_registers(uint32_t count, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  if (count < 24 || count > 256 || count % 8 != 0)
    e.fail(at, fmt::format("{} registers: expected a multiple of 8 in 24..256", count));
  e.hopper().threads[e.thread().number].registers = count;
}

}  // namespace mtyolo::emulator

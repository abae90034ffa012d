#include "cuda/simt/counters.h"

#include <algorithm>
#include <mutex>

#include "cuda/simt/engine.h"

namespace mtyolo::emulator {
namespace {

std::mutex mutex;
Counters total;

// Passes that 32 banks of 4 bytes need: each serves one row of 128 bytes at a time.
uint64_t passes(const std::vector<uintptr_t>& addresses, size_t bytes) {
  std::vector<uintptr_t> rows[32];
  for (const uintptr_t address : addresses) {
    for (size_t b = 0; b < bytes; b += 4) {
      auto& bank = rows[(address + b) / 4 % 32];
      const uintptr_t row = (address + b) / 128;
      if (std::find(bank.begin(), bank.end(), row) == bank.end()) bank.push_back(row);
    }
  }
  size_t most = 1;
  for (const auto& bank : rows) most = std::max(most, bank.size());
  return most;
}

uint64_t sectors(const std::vector<uintptr_t>& addresses, size_t bytes) {
  std::vector<uintptr_t> touched;
  for (const uintptr_t address : addresses)
    for (uintptr_t s = address / 32; s <= (address + bytes - 1) / 32; ++s) touched.push_back(s);
  std::sort(touched.begin(), touched.end());
  return uint64_t(std::unique(touched.begin(), touched.end()) - touched.begin());
}

}  // namespace

Counters counters() {
  const std::lock_guard lock(mutex);
  return total;
}

void reset_counters() {
  const std::lock_guard lock(mutex);
  total = {};
}

void AccessLog::begin_block() {
  visits_.clear();
  phases_.clear();
}

void AccessLog::record(const Thread& thread, const void* p, size_t bytes, bool shared, const Site& at) {
  if (!options().count) return;
  const SiteKey site{at.file, at.line,
                     at.column | uint32_t(shared) << 31};  // an asynchronous copy has two sides
  const uint32_t visit = visits_[{thread.number, site}]++;
  if (p == nullptr) return;
  const uint32_t lanes = shared ? uint32_t(128 / std::max<size_t>(bytes, 4)) : 32;
  Phase& phase = phases_[{thread.warp(), site, visit, thread.lane() / lanes}];
  phase.bytes = bytes;
  phase.shared = shared;
  phase.addresses.push_back(reinterpret_cast<uintptr_t>(p));
}

void AccessLog::end_block() {
  if (phases_.empty()) return;
  const std::lock_guard lock(mutex);
  for (const auto& [key, phase] : phases_) {
    if (phase.shared) {
      ++total.shared_phases;
      total.shared_extra += passes(phase.addresses, phase.bytes) - 1;
    } else {
      ++total.global_requests;
      total.global_sectors += sectors(phase.addresses, phase.bytes);
      total.global_ideal += (phase.addresses.size() * phase.bytes + 31) / 32;
    }
  }
}

}  // namespace mtyolo::emulator

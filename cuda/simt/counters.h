// The two facts about speed that the emulator can give: extra passes over the banks of shared memory, and
// 32-byte sectors of global memory a request touches. Counted for the vector accesses of cuda/device/ when
// options().count is set; plain C++ accesses are not seen.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "cuda/simt/site.h"

namespace mtyolo::emulator {

struct Thread;

struct Counters {
  uint64_t shared_phases =
      0;  // groups of lanes that one pass can serve: 8 lanes of 16 bytes, 16 of 8, 32 of 4
  uint64_t shared_extra = 0;     // passes beyond one for each phase: 0 without a bank conflict
  uint64_t global_requests = 0;  // of a warp
  uint64_t global_sectors = 0;   // of 32 bytes, touched
  uint64_t global_ideal = 0;     // sectors that the bytes asked for would fill
};
Counters counters();  // since the last reset, all launches
void reset_counters();

// What one block touched. Accesses of lanes are put together by warp, call site and how often the lane was
// there.
class AccessLog {
 public:
  void begin_block();
  void record(const Thread& thread, const void* p, size_t bytes, bool shared, const Site& at);
  void end_block();

 private:
  struct Phase {
    size_t bytes = 0;
    bool shared = false;
    std::vector<uintptr_t> addresses;
  };
  using SiteKey = std::tuple<const char*, uint32_t, uint32_t>;
  std::map<std::pair<uint32_t, SiteKey>, uint32_t> visits_;                    // (thread, site)
  std::map<std::tuple<uint32_t, SiteKey, uint32_t, uint32_t>, Phase> phases_;  // (warp, site, visit, phase)
};

}  // namespace mtyolo::emulator

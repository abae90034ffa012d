// The data caches of a core, for loops that are cut so that what they read again is still near.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mtyolo {

struct CpuCache {
  int level;
  std::string type;  // "Data", "Instruction" or "Unified"
  int64_t bytes;     // of the whole cache, however many cores share it
};
// What a folder of the system says, "index0/level" and so on; nothing where it says nothing or nonsense.
std::vector<CpuCache> read_caches(const std::string& folder = "/sys/devices/system/cpu/cpu0/cache");

struct CacheSizes {
  int64_t l1 = 32 << 10, l2 = 512 << 10, l3 = 8 << 20;  // bytes; these stand in for what is not known
};
// From the list; levels that it lacks from sysconf, which counts an L3 of several dies as one.
CacheSizes choose_cache_sizes(const std::vector<CpuCache>& caches);
const CacheSizes& cache_sizes();  // of this machine, read once

}  // namespace mtyolo

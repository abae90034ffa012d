#include "core/cache_sizes.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/text.h"

namespace mtyolo {
namespace {

namespace fs = std::filesystem;

// Files of /sys have no size, so core/file.h cannot read them.
std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(trim(line));
}

// "2048K", "32M" or bytes.
std::optional<int64_t> parse_size(std::string_view text) {
  const int shift = text.ends_with('K') ? 10 : text.ends_with('M') ? 20 : 0;
  const auto number = parse_int(shift > 0 ? text.substr(0, text.size() - 1) : text);
  if (!number || *number <= 0 || *number > INT32_MAX) return std::nullopt;
  return *number << shift;
}

}  // namespace

std::vector<CpuCache> read_caches(const std::string& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (const auto& e : fs::directory_iterator(folder, error)) entries.push_back(e.path());
  std::sort(entries.begin(), entries.end());
  std::vector<CpuCache> caches;
  for (const fs::path& index : entries) {
    const auto level = parse_int(first_line(index / "level"));
    const auto bytes = parse_size(first_line(index / "size"));
    if (level && *level >= 1 && *level <= 4 && bytes)
      caches.push_back({int(*level), first_line(index / "type"), *bytes});
  }
  return caches;
}

CacheSizes choose_cache_sizes(const std::vector<CpuCache>& caches) {
  CacheSizes sizes;
  const auto choose = [&](int level, int name, int64_t& bytes) {
    for (const CpuCache& c : caches)
      if (c.level == level && c.type != "Instruction") {
        bytes = c.bytes;
        return;
      }
    if (const long said = ::sysconf(name); said > 0) bytes = said;
  };
  choose(1, _SC_LEVEL1_DCACHE_SIZE, sizes.l1);
  choose(2, _SC_LEVEL2_CACHE_SIZE, sizes.l2);
  choose(3, _SC_LEVEL3_CACHE_SIZE, sizes.l3);
  return sizes;
}

const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = choose_cache_sizes(read_caches());
  return sizes;
}

}  // namespace mtyolo

#include "cuda/simt/memory.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "core/error.h"
#include "cuda/simt/engine.h"
#include "cuda/simt/race.h"
#include "cuda/simt/sanitizer.h"

namespace mtyolo::emulator {
namespace {

constexpr size_t kZone = 256, kAlignment = 256;
constexpr int kPoison = 0xff, kZoneByte = 0xc5;

struct Allocation {
  std::unique_ptr<std::byte[]> memory;
  size_t bytes = 0;
};
struct Table {
  std::shared_mutex mutex;
  std::map<uintptr_t, Allocation> allocations;  // by the address the kernel sees
};
Table& table() {
  static Table value;
  return value;
}

std::byte* pointer(uintptr_t address) { return reinterpret_cast<std::byte*>(address); }

// The first byte of a red zone that was written, or -1.
int written(const std::byte* zone) {
  for (size_t i = 0; i < kZone; ++i)
    if (zone[i] != std::byte(kZoneByte)) return int(i);
  return -1;
}

class SimtRuntime : public DeviceRuntime {
 public:
  void* allocate(size_t bytes) override {
    Allocation a{std::make_unique_for_overwrite<std::byte[]>(bytes + 2 * kZone + kAlignment), bytes};
    const uintptr_t begin =
        (reinterpret_cast<uintptr_t>(a.memory.get()) + kZone + kAlignment - 1) / kAlignment * kAlignment;
    std::memset(pointer(begin - kZone), kZoneByte, kZone);
    std::memset(pointer(begin), kPoison, bytes);
    std::memset(pointer(begin + bytes), kZoneByte, kZone);
    poison(pointer(begin - kZone), kZone);
    poison(pointer(begin + bytes), kZone);
    const std::unique_lock lock(table().mutex);
    table().allocations[begin] = std::move(a);
    return pointer(begin);
  }
  void free(void* p, size_t) noexcept override {
    const std::unique_lock lock(table().mutex);
    const auto found = table().allocations.find(reinterpret_cast<uintptr_t>(p));
    if (found == table().allocations.end()) return;
    unpoison(pointer(found->first - kZone), found->second.bytes + 2 * kZone);
    table().allocations.erase(found);
  }
};

}  // namespace

DeviceRuntime& simt_runtime() {
  static SimtRuntime runtime;
  return runtime;
}

void check_red_zones(const Site& at) {
  if (kAsan) return;
  const std::shared_lock lock(table().mutex);
  for (const auto& [address, a] : table().allocations) {
    const int before = written(pointer(address - kZone)), after = written(pointer(address + a.bytes));
    if (before < 0 && after < 0) continue;
    std::memset(pointer(address - kZone), kZoneByte, kZone);
    std::memset(pointer(address + a.bytes), kZoneByte, kZone);
    fail(ExitCode::kRuntime, "simt",
         "kernel launched at {} wrote outside a buffer of {} bytes, at offset {} [{}]", to_string(at),
         a.bytes, before >= 0 ? before - int64_t(kZone) : int64_t(a.bytes) + after, to_string(options()));
  }
}

MemorySnapshot snapshot_memory() {
  const std::shared_lock lock(table().mutex);
  MemorySnapshot snapshot;
  for (const auto& [address, a] : table().allocations)
    snapshot.push_back({pointer(address), {pointer(address), pointer(address) + a.bytes}});
  return snapshot;
}

void restore_memory(const MemorySnapshot& snapshot) {
  for (const MemoryCopy& c : snapshot)
    std::copy(c.bytes.begin(), c.bytes.end(), pointer(reinterpret_cast<uintptr_t>(c.address)));
}

void check_same_memory(const MemorySnapshot& expected, const Site& at) {
  for (const MemoryCopy& c : expected) {
    const std::byte* now = static_cast<const std::byte*>(c.address);
    const auto differs = std::mismatch(c.bytes.begin(), c.bytes.end(), now).first;
    if (differs == c.bytes.end()) continue;
    fail(
        ExitCode::kRuntime, "simt",
        "kernel launched at {} gave different bytes for two seeds, first at offset {} of a buffer of {} [{}]",
        to_string(at), differs - c.bytes.begin(), c.bytes.size(), to_string(options()));
  }
}

bool is_device_memory(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const std::shared_lock lock(table().mutex);
  const auto above = table().allocations.upper_bound(address);
  return above != table().allocations.begin() &&
         address < std::prev(above)->first + std::prev(above)->second.bytes;
}

void check_range(const void* p, size_t bytes, const Site& at) {
  Engine& e = engine();
  if (e.arena().contains(p)) {
    if (!e.arena().holds(p, bytes))
      e.fail(at, fmt::format("{} bytes at offset {} lie outside the shared variables", bytes,
                             e.arena().offset(p)));
    return;
  }
  const auto address = reinterpret_cast<uintptr_t>(p);
  const std::shared_lock lock(table().mutex);
  auto above = table().allocations.upper_bound(address + kZone);
  if (above == table().allocations.begin()) return;
  const auto& [begin, a] = *--above;
  if (address + bytes <= begin - kZone || address >= begin + a.bytes + kZone) return;  // no device memory
  if (address < begin || address + bytes > begin + a.bytes)
    e.fail(at, fmt::format("{} bytes at offset {} of a buffer of {} bytes", bytes, int64_t(address - begin),
                           a.bytes));
}

void check_access(const void* p, size_t bytes, Access access, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0)
    e.fail(at, fmt::format("access of {} bytes at an address that is no multiple of them", bytes));
  check_range(p, bytes, at);
  race_access(p, bytes, access == Access::kWrite, &at);
  if (access == Access::kWrite && e.arena().contains(p))
    e.written_by[e.arena().offset(p) / 128] = e.thread().number + 1;
  e.accesses().record(e.thread(), p, bytes, e.arena().contains(p), at);
}

}  // namespace mtyolo::emulator

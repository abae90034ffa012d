// Memory of the emulated device: poisoned with 0xFF bytes (NaN), with red zones around every allocation that
// are looked at after each launch (AddressSanitizer sees an access at once). And the checks of single
// accesses.
#pragma once

#include <cstddef>
#include <vector>

#include "core/device.h"
#include "cuda/simt/site.h"

namespace mtyolo::emulator {

// Device memory for DeviceKind::kSimt.
DeviceRuntime& simt_runtime();

// Throws Error{"simt"} when a red zone was written; `at` is the launch to name.
void check_red_zones(const Site& at);

// All device memory, to run a launch twice.
struct MemoryCopy {
  const void* address = nullptr;
  std::vector<std::byte> bytes;
};
using MemorySnapshot = std::vector<MemoryCopy>;
MemorySnapshot snapshot_memory();
void restore_memory(const MemorySnapshot& snapshot);
void check_same_memory(const MemorySnapshot& expected, const Site& at);

enum class Access : unsigned char { kRead, kWrite };
// Of an access that a device function makes for the kernel: alignment, shared variable or allocation left.
// Ends the block with the site. Counts it (counters.h) and shows it to the race checker.
void check_access(const void* p, size_t bytes, Access access, const Site& at);
bool is_device_memory(const void* p);
// The same without counting, for copies performed later.
void check_range(const void* p, size_t bytes, const Site& at);

}  // namespace mtyolo::emulator

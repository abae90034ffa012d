// Caching allocator of one device: freed blocks are kept by size class and handed out again, so a step that
// repeats allocates nothing from the system after its first run.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/device.h"

namespace mtyolo {

struct AllocatorStats {
  size_t in_use_bytes = 0;       // handed out now
  size_t peak_bytes = 0;         // highest in_use_bytes
  size_t cached_bytes = 0;       // kept for reuse
  uint64_t requests = 0;         // calls of allocate
  uint64_t system_requests = 0;  // of these, not served from the cache
};

class Allocator : public std::enable_shared_from_this<Allocator> {
 public:
  explicit Allocator(Device device = kCpu, DeviceRuntime& runtime = host_runtime());
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  Device device() const { return device_; }
  // `bytes` rounded up to a size class, aligned to 64. Zero bytes give a valid pointer. Thread-safe. Throws
  // Error{"out_of_memory"} when the system has none left even without the cache.
  void* allocate(size_t bytes);
  void free(void* pointer, size_t bytes) noexcept;  // `bytes` as given to allocate
  void release_cached() noexcept;                   // gives the cache back to the system
  AllocatorStats stats() const;

 private:
  void* allocate_from_system(size_t size);
  void free_cache() noexcept;

  Device device_;
  DeviceRuntime& runtime_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> cache_;
  AllocatorStats stats_;
};

// The host allocator used when no Context is at hand (file readers, tests).
const std::shared_ptr<Allocator>& host_allocator();

}  // namespace mtyolo

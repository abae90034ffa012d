// Caching allocator of one device: freed blocks are kept and handed out again, so a step that repeats
// allocates nothing from the system after its first run. Small blocks are kept by size class; large ones are
// cut from chunks, best fit first, and join free neighbours, so that what held one large map holds many small
// ones later.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
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
  // `bytes` rounded up to a size class (from 64 KiB on: to pages), aligned to 64. Zero bytes give a valid
  // pointer. Thread-safe. Throws Error{"out_of_memory"} when the system has none left even without the cache.
  void* allocate(size_t bytes);
  void free(void* pointer, size_t bytes) noexcept;  // `bytes` as given to allocate
  void release_cached() noexcept;                   // gives the cache back to the system
  AllocatorStats stats() const;

 private:
  struct Block {
    size_t size;
    bool free, first;  // first: a chunk of the system begins here
  };
  using Blocks = std::map<uintptr_t, Block>;
  void* allocate_from_system(size_t size);
  void* allocate_class(size_t size);
  void* allocate_part(size_t size);
  void grow(size_t size);
  void free_part(Blocks::iterator block);
  void free_cache() noexcept;

  Device device_;
  DeviceRuntime& runtime_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> cache_;    // small blocks by size
  Blocks blocks_;                                 // all parts of all chunks
  std::set<std::pair<size_t, uintptr_t>> parts_;  // the free ones by size
  size_t chunk_bytes_ = 0;
  AllocatorStats stats_;
};

// The host allocator used when no Context is at hand (file readers, tests).
const std::shared_ptr<Allocator>& host_allocator();

}  // namespace mtyolo

#include "core/allocator.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo {
namespace {

// Above this the arithmetic on sizes could wrap; no machine has that much.
constexpr size_t kMaxBytes = size_t(1) << 56;

// Size classes waste at most 1/8: multiples of 64 bytes, then of an eighth of the power of two below.
size_t size_class(size_t bytes) {
  size_t step = 64;
  while (step * 16 <= bytes) step *= 2;
  return std::max<size_t>((bytes + step - 1) / step * step, 64);
}

}  // namespace

Allocator::Allocator(Device device, DeviceRuntime& runtime) : device_(device), runtime_(runtime) {}

Allocator::~Allocator() { release_cached(); }

void* Allocator::allocate(size_t bytes) {
  if (bytes > kMaxBytes)
    fail(ExitCode::kRuntime, "out_of_memory", "cannot allocate {} MiB of memory", bytes >> 20);
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  stats_.requests += 1;
  void* pointer = nullptr;
  if (auto it = cache_.find(size); it != cache_.end() && !it->second.empty()) {
    pointer = it->second.back();
    it->second.pop_back();
    stats_.cached_bytes -= size;
  } else {
    pointer = allocate_from_system(size);
    stats_.system_requests += 1;
  }
  stats_.in_use_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
  return pointer;
}

// With the lock held. A full memory may be full of our own cached blocks of other sizes.
void* Allocator::allocate_from_system(size_t size) {
  try {
    return runtime_.allocate(size);
  } catch (const Error&) {
    if (stats_.cached_bytes == 0) throw;
    free_cache();
    return runtime_.allocate(size);
  }
}

void Allocator::free(void* pointer, size_t bytes) noexcept {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  cache_[size].push_back(pointer);
  stats_.in_use_bytes -= size;
  stats_.cached_bytes += size;
}

void Allocator::release_cached() noexcept {
  const std::lock_guard lock(mutex_);
  free_cache();
}

void Allocator::free_cache() noexcept {
  for (auto& [size, pointers] : cache_)
    for (void* p : pointers) runtime_.free(p, size);
  cache_.clear();
  stats_.cached_bytes = 0;
}

AllocatorStats Allocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

const std::shared_ptr<Allocator>& host_allocator() {
  static const auto allocator = std::make_shared<Allocator>();
  return allocator;
}

}  // namespace mtyolo

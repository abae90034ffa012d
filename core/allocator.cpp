#include "core/allocator.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo {
namespace {

// Above this the arithmetic on sizes could wrap; no machine has that much.
constexpr size_t kMaxBytes = size_t(1) << 56;

// Blocks from kLarge on are parts of chunks.
constexpr size_t kLarge = 64 << 10, kPage = 4096, kSmallestChunk = 2 << 20;

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

// Size classes waste at most 1/8: multiples of 64 bytes, then of an eighth of the power of two below.
size_t block_size(size_t bytes) {
  if (bytes >= kLarge) return round_up(bytes, kPage);
  size_t step = 64;
  while (step * 16 <= bytes) step *= 2;
  return std::max<size_t>(round_up(bytes, step), 64);
}

}  // namespace

Allocator::Allocator(Device device, DeviceRuntime& runtime) : device_(device), runtime_(runtime) {}

Allocator::~Allocator() { release_cached(); }

void* Allocator::allocate(size_t bytes) {
  if (bytes > kMaxBytes)
    fail(ExitCode::kRuntime, "out_of_memory", "cannot allocate {} MiB of memory", bytes >> 20);
  const size_t size = block_size(bytes);
  const std::lock_guard lock(mutex_);
  stats_.requests += 1;
  void* const pointer = bytes < kLarge ? allocate_class(size) : allocate_part(size);
  stats_.in_use_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
  return pointer;
}

// What follows runs with the lock held.
void* Allocator::allocate_class(size_t size) {
  const auto it = cache_.find(size);
  if (it == cache_.end() || it->second.empty()) return allocate_from_system(size);
  void* const pointer = it->second.back();
  it->second.pop_back();
  stats_.cached_bytes -= size;
  return pointer;
}

void* Allocator::allocate_part(size_t size) {
  if (parts_.lower_bound({size, 0}) == parts_.end()) grow(size);
  const auto fit = parts_.lower_bound({size, 0});
  const auto [available, address] = *fit;
  parts_.erase(fit);
  Block& block = blocks_.at(address);
  block.size = size, block.free = false;
  if (available > size) {
    blocks_[address + size] = {available - size, true, false};
    parts_.emplace(available - size, address + size);
  }
  stats_.cached_bytes -= size;
  return reinterpret_cast<void*>(address);
}

// A chunk with room for `size`. The host charges for pages when they are touched: chunks grow there with what
// is held.
void Allocator::grow(size_t size) {
  size_t chunk = round_up(std::max(size, device_ == kCpu ? chunk_bytes_ / 8 : 0), kSmallestChunk);
  void* pointer = nullptr;
  try {
    pointer = runtime_.allocate(chunk);
    stats_.system_requests += 1;
  } catch (const Error&) {
    pointer = allocate_from_system(chunk = size);
  }
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  blocks_[address] = {chunk, true, true};
  parts_.emplace(chunk, address);
  chunk_bytes_ += chunk;
  stats_.cached_bytes += chunk;
}

void Allocator::free_part(Blocks::iterator block) {
  block->second.free = true;
  parts_.emplace(block->second.size, block->first);
  for (const auto right : {std::next(block), block}) {  // joins the block before it
    if (right == blocks_.end() || right->second.first || !right->second.free) continue;
    const auto left = std::prev(right);
    if (!left->second.free) continue;
    for (const auto part : {left, right}) parts_.erase({part->second.size, part->first});
    left->second.size += right->second.size;
    parts_.emplace(left->second.size, left->first);
    blocks_.erase(right);
  }
}

// A full memory may be full of our own cached blocks.
void* Allocator::allocate_from_system(size_t size) {
  stats_.system_requests += 1;
  try {
    return runtime_.allocate(size);
  } catch (const Error&) {
    if (stats_.cached_bytes == 0) throw;
    free_cache();
    return runtime_.allocate(size);
  }
}

void Allocator::free(void* pointer, size_t bytes) noexcept {
  const size_t size = block_size(bytes);
  const std::lock_guard lock(mutex_);
  if (bytes < kLarge) cache_[size].push_back(pointer);
  else free_part(blocks_.find(reinterpret_cast<uintptr_t>(pointer)));
  stats_.in_use_bytes -= size;
  stats_.cached_bytes += size;
}

void Allocator::release_cached() noexcept {
  const std::lock_guard lock(mutex_);
  free_cache();
}

void Allocator::free_cache() noexcept {
  for (auto& [size, pointers] : cache_) {
    for (void* p : pointers) runtime_.free(p, size);
    stats_.cached_bytes -= size * pointers.size();
  }
  cache_.clear();
  for (auto it = blocks_.begin(); it != blocks_.end();) {
    const auto next = std::next(it);
    const auto [size, free, first] = it->second;
    if (free && first && (next == blocks_.end() || next->second.first)) {  // a whole chunk
      parts_.erase({size, it->first});
      runtime_.free(reinterpret_cast<void*>(it->first), size);
      chunk_bytes_ -= size;
      stats_.cached_bytes -= size;
      blocks_.erase(it);
    }
    it = next;
  }
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

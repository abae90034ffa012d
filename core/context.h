// What an operation runs with: device, allocator, threads. Made in main or a test and passed first to
// everything; there is no global default.
#pragma once

#include <memory>

#include "core/allocator.h"
#include "core/thread_pool.h"

namespace mtyolo {

class Context {
 public:
  explicit Context(int threads = 0) : pool_(threads), allocator_(std::make_shared<Allocator>()) {}

  Device device() const { return allocator_->device(); }
  const std::shared_ptr<Allocator>& allocator() const { return allocator_; }
  ThreadPool& pool() { return pool_; }

 private:
  ThreadPool pool_;
  std::shared_ptr<Allocator> allocator_;
};

}  // namespace mtyolo

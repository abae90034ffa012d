// Bytes on one device, shared by the tensors that view them.
#pragma once

#include <memory>

#include "core/allocator.h"

namespace mtyolo {

class Storage {
 public:
  // Bytes from an allocator; the last owner gives them back.
  static std::shared_ptr<Storage> allocate(const std::shared_ptr<Allocator>& allocator, size_t bytes);
  // Bytes owned by something else (a mapped file), which `keeper` keeps alive. Never written through.
  static std::shared_ptr<Storage> borrow(const void* data, size_t bytes, std::shared_ptr<const void> keeper);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t size_bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool writable() const { return allocator_ != nullptr; }

 private:
  Storage() = default;
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Device device_;
  std::shared_ptr<Allocator> allocator_;
  std::shared_ptr<const void> keeper_;
};

}  // namespace mtyolo

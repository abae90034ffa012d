#include "core/storage.h"

namespace mtyolo {

std::shared_ptr<Storage> Storage::allocate(const std::shared_ptr<Allocator>& allocator, size_t bytes) {
  std::shared_ptr<Storage> s(new Storage);
  s->data_ = allocator->allocate(bytes);
  s->bytes_ = bytes;
  s->device_ = allocator->device();
  s->allocator_ = allocator;
  return s;
}

std::shared_ptr<Storage> Storage::borrow(const void* data, size_t bytes, std::shared_ptr<const void> keeper) {
  std::shared_ptr<Storage> s(new Storage);
  s->data_ = const_cast<void*>(data);
  s->bytes_ = bytes;
  s->keeper_ = std::move(keeper);
  return s;
}

Storage::~Storage() {
  if (allocator_ != nullptr) allocator_->free(data_, bytes_);
}

}  // namespace mtyolo

#include "models/weights/tensor_view.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"

namespace mtyolo::models {

std::optional<int64_t> checked_numel(std::span<const int64_t> sizes) {
  constexpr uint64_t kLimit = uint64_t(1) << 62;
  uint64_t product = 1;
  bool zero = false;
  for (const int64_t size : sizes) {
    if (size < 0) return std::nullopt;
    zero = zero || size == 0;
    const auto next = checked::mul(product, uint64_t(std::max<int64_t>(size, 1)));
    if (!next || *next >= kLimit) return std::nullopt;
    product = *next;
  }
  return zero ? 0 : int64_t(product);
}

std::shared_ptr<Storage> storage_over(std::span<const std::byte> bytes, DType type,
                                      const std::shared_ptr<const void>& keeper) {
  const auto is_bool = [](std::byte b) { return b <= std::byte{1}; };
  if (type == DType::kBool && !std::all_of(bytes.begin(), bytes.end(), is_bool))
    fail(ExitCode::kModel, "bool_value", "a bool tensor holds a byte that is neither 0 nor 1");
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % item_size(type) == 0;
  if (aligned && !bytes.empty()) return Storage::borrow(bytes.data(), bytes.size(), keeper);
  auto copy = Storage::allocate(host_allocator(), bytes.size());
  if (!bytes.empty()) std::memcpy(copy->data(), bytes.data(), bytes.size());
  return copy;
}

}  // namespace mtyolo::models

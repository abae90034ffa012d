// Tensors over bytes of a file that stays mapped, and the size checks that come before them.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "core/tensor.h"

namespace mtyolo::models {

// Product of the sizes in 64 bits. Zero sizes count as 1 for the check, so that no later product can wrap
// around. Nothing if a size is negative or the product does not fit in 62 bits.
std::optional<int64_t> checked_numel(std::span<const int64_t> sizes);

// Storage over bytes that `keeper` keeps alive. Bytes that do not lie on a multiple of the item size are
// copied. Throws Error{kModel, "bool_value"} when a byte of a bool storage is neither 0 nor 1.
std::shared_ptr<Storage> storage_over(std::span<const std::byte> bytes, DType type,
                                      const std::shared_ptr<const void>& keeper);

}  // namespace mtyolo::models

// What a file is, told by its first bytes (reliability.md P10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mtyolo::models {

enum class Container : uint8_t { kZip, kLegacy, kSafetensors };

// Throws Error{kModel, "P10"} that says what the file is when it is none of these.
Container recognise(std::span<const std::byte> bytes);

}  // namespace mtyolo::models

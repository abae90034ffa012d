// Limits of the weight readers (reliability.md sections 3 to 5). Only tests read with others.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtyolo::models {

inline constexpr uint64_t kMaxPickleBytes = uint64_t(256) << 20;  // Z7: data.pkl
inline constexpr uint64_t kMaxPickleOps = uint64_t(64) << 20;     // P8
inline constexpr size_t kMaxPickleStack = size_t(16) << 20;       // P8: values
inline constexpr size_t kMaxPickleMarks = 200;                    // P8: open marks
inline constexpr unsigned kMaxPickleDepth = 200;                  // P8: containers in containers
inline constexpr size_t kMaxPickleMemo = 10'000'000;              // P8: entries
inline constexpr uint32_t kMaxPickleNodes = 10'000'000;           // P8: values, sharing unfolded
inline constexpr size_t kMaxSymbolBytes = 256;                    // P4: each of module and name
// Memory of the machine: a constant and a multiple of the pickle's size (section 1).
inline constexpr uint64_t kPickleMemoryBase = uint64_t(96) << 20, kPickleMemoryFactor = 12;
// P9: bytes of all tensors when copied out; a constant and a multiple of the file's size.
inline constexpr uint64_t kTensorBytesBase = uint64_t(64) << 20, kTensorBytesFactor = 16;

}  // namespace mtyolo::models

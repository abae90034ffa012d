// CRC-32 of zip and gzip (polynomial 0xEDB88320, reflected).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mtyolo {

// The checksum of `bytes`, continuing from `start` (that of the bytes before, 0 for none). Uses carry-less
// multiplication where the CPU has it, else zlib.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t start = 0);

}  // namespace mtyolo

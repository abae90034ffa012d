// SHA-256 (FIPS 180-4), for the manifest of checkpoints and the digests of `info --tensors`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace mtyolo {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  std::string finish();  // 64 lower-case hexadecimal digits; the object is spent

 private:
  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  size_t pending_size_ = 0;
  uint64_t total_ = 0;
};

std::string sha256_hex(std::span<const std::byte> bytes);

namespace sha256 {

using State = std::array<uint32_t, 8>;

// `bytes` holds whole blocks of 64. The second, by x86's instructions for it, returns false where they are
// missing.
void blocks_portable(State& state, std::span<const std::byte> bytes);
bool blocks_x86(State& state, std::span<const std::byte> bytes);

}  // namespace sha256

}  // namespace mtyolo

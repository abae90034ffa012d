#include "core/random.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace mtyolo {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> key) {
  constexpr uint32_t kMul0 = 0xD2511F53u, kMul1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(kMul0) * c[0];
    const uint64_t p1 = uint64_t(kMul1) * c[2];
    c = {uint32_t(p1 >> 32) ^ c[1] ^ key[0], uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ key[1], uint32_t(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return c;
}

RandomStream::RandomStream(uint64_t seed, uint32_t stream, uint64_t position)
    : key_{uint32_t(seed), uint32_t(seed >> 32)},
      counter_{0, stream, uint32_t(position), uint32_t(position >> 32)} {}

uint32_t RandomStream::bits() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[size_t(used_++)];
}

double RandomStream::uniform() {
  const uint64_t high = bits() >> 5, low = bits() >> 6;  // 27 + 26 = 53 bits
  return double(high << 26 | low) * 0x1p-53;
}

double RandomStream::uniform(double low, double high) { return low + (high - low) * uniform(); }

double RandomStream::normal() {
  const double u = 1.0 - uniform(), v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

int64_t RandomStream::below(int64_t n) {
  MTYOLO_CHECK(n >= 1, "random: below({})", n);
  return int64_t(uniform() * double(n));
}

}  // namespace mtyolo

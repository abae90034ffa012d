#include "core/crc32.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mtyolo {
namespace {

uint32_t crc32_zlib(std::span<const std::byte> bytes, uint32_t start) {
  return uint32_t(::crc32_z(start, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

#if defined(__x86_64__)

// Folding as in Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ" (Intel, 2009): a
// 128-bit lane is moved 512 or 128 bits ahead by two carry-less products with powers of x modulo the
// polynomial.
__attribute__((target("pclmul,sse4.1"))) inline __m128i fold(__m128i lane, __m128i next, __m128i powers) {
  const __m128i low = _mm_clmulepi64_si128(lane, powers, 0x00),
                high = _mm_clmulepi64_si128(lane, powers, 0x11);
  return _mm_xor_si128(next, _mm_xor_si128(low, high));
}

// `bytes` holds a multiple of 64 bytes, at least 64.
__attribute__((target("pclmul,sse4.1"))) uint32_t crc32_clmul(std::span<const std::byte> bytes,
                                                              uint32_t start) {
  const auto load = [&](size_t at) __attribute__((target("pclmul,sse4.1"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at));
  };
  const __m128i by_512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by_128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  __m128i a = _mm_xor_si128(load(0), _mm_cvtsi32_si128(int(~start)));
  __m128i b = load(16), c = load(32), d = load(48);
  for (size_t at = 64; at < bytes.size(); at += 64) {
    a = fold(a, load(at), by_512);
    b = fold(b, load(at + 16), by_512);
    c = fold(c, load(at + 32), by_512);
    d = fold(d, load(at + 48), by_512);
  }
  std::byte rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), fold(fold(fold(a, b, by_128), c, by_128), d, by_128));
  return crc32_zlib(rest, 0xffffffffu);  // a register of 0: the start value is already inside
}

#endif

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t start) {
#if defined(__x86_64__)
  static const bool has_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  const size_t folded = bytes.size() / 64 * 64;
  if (has_clmul && folded > 0) {
    start = crc32_clmul(bytes.first(folded), start);
    bytes = bytes.subspan(folded);
  }
#endif
  return crc32_zlib(bytes, start);
}

}  // namespace mtyolo

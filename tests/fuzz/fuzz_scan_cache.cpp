// Hostile caches of image sizes, with the checksum they need. Accepted means: written again, it is the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/sha256.h"
#include "data/scan_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  std::string bytes = "mtyolo image cache 1\n";
  bytes.append(reinterpret_cast<const char*>(data), size);
  bytes += sha256_hex(std::as_bytes(std::span(bytes)));
  if (const auto cache = data::ScanCache::from_bytes(bytes)) {
    const std::string again = cache->to_bytes();
    const auto same = data::ScanCache::from_bytes(again);
    if (!same || same->size() != cache->size() || same->to_bytes() != again) std::abort();
  }
  return 0;
}

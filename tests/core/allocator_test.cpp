#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/allocator.h"
#include "tests/support/throws.h"

using namespace mtyolo;

namespace {

// Host memory that refuses to hold more than `limit` bytes.
class SmallRuntime : public DeviceRuntime {
 public:
  explicit SmallRuntime(size_t limit) : limit_(limit) {}
  void* allocate(size_t bytes) override {
    if (held_ + bytes > limit_) fail(ExitCode::kRuntime, "out_of_memory", "no room for {} bytes", bytes);
    held_ += bytes;
    return std::aligned_alloc(64, bytes);
  }
  void free(void* pointer, size_t bytes) noexcept override {
    held_ -= bytes;
    std::free(pointer);
  }

 private:
  size_t limit_, held_ = 0;
};

}  // namespace

TEST_CASE("allocator: a freed block is handed out again without asking the system", "[core][allocator]") {
  Allocator a;
  void* first = a.allocate(1000);
  a.free(first, 1000);
  CHECK(a.allocate(1001) == first);  // the same size class, 1024 bytes
  const AllocatorStats s = a.stats();
  CHECK(s.requests == 2);
  CHECK(s.system_requests == 1);
  CHECK(s.in_use_bytes == 1024);
  CHECK(s.cached_bytes == 0);
  a.free(first, 1001);
}

TEST_CASE("allocator: the peak counts what was in use at once, not what was freed", "[core][allocator]") {
  Allocator a;
  for (int i = 0; i < 3; ++i) a.free(a.allocate(64), 64);
  void* p = a.allocate(128);
  void* q = a.allocate(64);
  CHECK(a.stats().peak_bytes == 192);
  a.free(p, 128);
  a.free(q, 64);
  CHECK(a.stats().peak_bytes == 192);
  CHECK(a.stats().in_use_bytes == 0);
  CHECK(a.stats().cached_bytes == 192);
  a.release_cached();
  CHECK(a.stats().cached_bytes == 0);
}

TEST_CASE("allocator: a large block is cut into small ones, which join again", "[core][allocator]") {
  constexpr size_t kMib = 1 << 20;
  Allocator a;
  char* const whole = static_cast<char*>(a.allocate(8 * kMib));
  a.free(whole, 8 * kMib);
  const std::vector<size_t> sizes{3 * kMib, kMib, 2 * kMib, 2 * kMib};
  std::vector<size_t> order{0, 1, 2, 3};
  do {
    std::vector<void*> parts;
    for (const size_t size : sizes) parts.push_back(a.allocate(size));
    CHECK(parts == std::vector<void*>{whole, whole + 3 * kMib, whole + 4 * kMib, whole + 6 * kMib});
    for (const size_t i : order) a.free(parts[i], sizes[i]);
    CHECK(a.stats().cached_bytes == 8 * kMib);
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(a.allocate(8 * kMib) == whole);
  CHECK(a.stats().system_requests == 1);
  a.free(whole, 8 * kMib);
  a.release_cached();
  CHECK(a.stats().cached_bytes == 0);
}

TEST_CASE("allocator: blocks are aligned to 64 bytes and zero bytes give a pointer", "[core][allocator]") {
  Allocator a;
  for (size_t bytes : {size_t(0), size_t(1), size_t(65), size_t(3) << 20}) {
    void* p = a.allocate(bytes);
    CHECK(p != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(p) % 64 == 0);
    a.free(p, bytes);
  }
}

TEST_CASE("allocator: a size class wastes at most an eighth", "[core][allocator]") {
  Allocator a;
  for (size_t bytes = 512; bytes < 100000; bytes = bytes * 17 / 16 + 1) {
    void* p = a.allocate(bytes);
    CHECK(a.stats().in_use_bytes >= bytes);
    CHECK(double(a.stats().in_use_bytes) <= double(bytes) * 1.125 + 64);
    a.free(p, bytes);
  }
}

TEST_CASE("allocator: cached blocks are given back before memory counts as exhausted", "[core][allocator]") {
  SmallRuntime runtime(4096);
  Allocator a(kCpu, runtime);
  a.free(a.allocate(3072), 3072);
  void* p = a.allocate(2048);
  CHECK(a.stats().cached_bytes == 0);
  CHECK(test::error_code([&] { a.allocate(4096); }) == "out_of_memory");
  CHECK(a.stats().in_use_bytes == 2048);
  a.free(p, 2048);
}

TEST_CASE("allocator: an absurd size is an error and not a hang", "[core][allocator]") {
  Allocator a;
  CHECK(test::error_code([&] { a.allocate(SIZE_MAX); }) == "out_of_memory");
  CHECK(test::error_code([&] { a.allocate(size_t(1) << 55); }) == "out_of_memory");
  CHECK(a.stats().in_use_bytes == 0);
}

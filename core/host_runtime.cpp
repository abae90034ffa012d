#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "core/device.h"
#include "core/error.h"

namespace mtyolo {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t(2) << 20;

double thread_ms() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) * 1e3 + double(t.tv_nsec) / 1e6;
}

// Large buffers are walked in long strides by the kernels: fewer address translations with 2 MiB pages. One
// is had in 0.2 ms, in small pages the same takes 0.8 ms; but 4 ms or more where memory must be compacted or
// the host of a virtual machine has taken the free blocks back. So one in four is tried, and after two slow
// ones the process makes do with small pages.
void advise_huge_pages(char* p, size_t bytes) {
  constexpr double kSlowMs = 1.5;
  static std::atomic<int> slow = 0;
  bytes -= bytes % kHugePage;
  for (size_t i = 0; i < bytes && slow < 2; i += 4 * kHugePage) {
    const size_t piece = std::min(4 * kHugePage, bytes - i);
    madvise(p + i, piece, MADV_HUGEPAGE);
    const double begin = thread_ms();
    *static_cast<volatile char*>(p + i) = 0;
    if (thread_ms() - begin < kSlowMs) continue;
    slow += 1;
    madvise(p + i + kHugePage, piece - kHugePage, MADV_NOHUGEPAGE);
  }
}

class HostRuntime : public DeviceRuntime {
 public:
  void* allocate(size_t bytes) override {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (p == nullptr)
      throw Error({ExitCode::kRuntime,
                   "out_of_memory",
                   fmt::format("cannot allocate {} MiB of memory", bytes >> 20),
                   {},
                   {},
                   "use a smaller --img-size or --batch-size"});
    advise_huge_pages(static_cast<char*>(p), bytes);
    return p;
  }
  void free(void* pointer, size_t) noexcept override { std::free(pointer); }
};

}  // namespace

DeviceRuntime& host_runtime() {
  static HostRuntime runtime;
  return runtime;
}

std::string to_string(Device device) {
  switch (device.kind) {
    case DeviceKind::kCpu:
      return "cpu";
    case DeviceKind::kSimt:
      return "simt";
    case DeviceKind::kCuda:
      return "cuda:" + std::to_string(device.index);
  }
  return "unknown";
}

}  // namespace mtyolo

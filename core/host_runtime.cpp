#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "core/device.h"
#include "core/error.h"

namespace mtyolo {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t(2) << 20;

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
    // Large buffers are walked in long strides by the kernels: fewer address translations with 2 MiB pages.
    if (bytes >= kHugePage) madvise(p, bytes, MADV_HUGEPAGE);
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

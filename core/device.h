// Where bytes live, and the interface behind which a device's memory is reached. core knows no CUDA:
// cuda/ implements DeviceRuntime and registers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mtyolo {

enum class DeviceKind : uint8_t { kCpu, kCuda, kSimt };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};
inline constexpr Device kCpu{};

std::string to_string(Device device);  // "cpu", "cuda:0"

// Raw memory of one device. allocate throws Error{"out_of_memory"}; results are aligned to 64 bytes.
class DeviceRuntime {
 public:
  virtual ~DeviceRuntime() = default;
  virtual void* allocate(size_t bytes) = 0;
  virtual void free(void* pointer, size_t bytes) noexcept = 0;
};

// The host's memory, valid for the whole process.
DeviceRuntime& host_runtime();

}  // namespace mtyolo

// One device as the host drives it: memory, one queue of work, transfers, recorded sequences. cuda/ has the
// two implementations: an NVIDIA GPU, and the emulated device that stands for one in tests.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/allocator.h"
#include "ops/device/stream.h"

namespace mtyolo {

struct DeviceInfo {
  std::string name;          // "NVIDIA H200", "emulated device"
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 1;
  size_t shared_bytes_per_block = 0, memory_bytes = 0;
};

// A sequence of work recorded once and run many times with the same arguments.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  virtual int nodes() const = 0;  // kernels and copies
};

class DeviceSession {
 public:
  virtual ~DeviceSession() = default;
  virtual const DeviceInfo& info() const = 0;
  virtual Device device() const = 0;
  virtual KernelStream stream() = 0;
  // Memory in the order of the stream: a freed block may be handed out again at once.
  virtual const std::shared_ptr<Allocator>& allocator() = 0;
  // Queued. `from` may be reused when upload returns; `to` of download holds the bytes after synchronize().
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  virtual void synchronize() = 0;
  // What `work` queues is recorded and not run; it must neither allocate, wait, nor transfer.
  virtual std::unique_ptr<DeviceGraph> record(const std::function<void()>& work) = 0;
  virtual void launch(DeviceGraph& graph) = 0;
  // Milliseconds of the device between the two ends of `work`; waits for it.
  virtual double time(const std::function<void()>& work) = 0;
};

}  // namespace mtyolo

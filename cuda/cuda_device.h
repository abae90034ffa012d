// One NVIDIA GPU: whether it can be used, what went wrong on it, and its memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "cuda/cuda_calls.h"

namespace mtyolo {

// Why there is no NVIDIA GPU to use, in one line: no driver, a driver too old, no device; "" where there is.
std::string cuda_absence(CudaCalls* calls = cuda_runtime_calls());
// The GPUs of this machine, none where cuda_absence() says why. Throws Error{"device"}.
std::vector<DeviceInfo> cuda_devices(CudaCalls* calls = cuda_runtime_calls());

// Whether kernels built for `archs` ("80,90a,ptx") run on a device: code of one major version runs on its
// later minor ones, that of 90a on 9.0 alone, PTX on every device from 8.0.
bool kernels_run_on(const std::string& archs, int major, int minor);
std::string cuda_archs();  // what this program was built for

// Whether no call can succeed after this error until the process ends.
bool is_sticky_cuda_error(int error);

class CudaDevice {
 public:
  // Throws Error{"device"}: not there, of compute capability below 7.5, no kernels for it.
  CudaDevice(CudaCalls& calls, int index, const std::string& archs = cuda_archs());
  CudaCalls& calls() const { return calls_; }
  const DeviceInfo& info() const { return info_; }
  Device device() const { return {DeviceKind::kCuda, index_}; }
  std::string name() const;  // "cuda:0 (NVIDIA H200)"

  // Throws Error{"device_lost"} with the first cause after a sticky error; else makes this the thread's
  // device.
  void begin();
  bool lost() const { return !cause_.empty(); }
  // Throws Error{"cuda"} for an error: what was called and where, its name and text, device, free memory.
  void check(int error, const char* call, const char* file, int line);
  // The same for what must not throw: logs.
  void report(int error, const char* call) noexcept;
  std::string memory_text();  // "100 of 143771 MiB free", "" when the device does not say

 private:
  CudaCalls& calls_;
  int index_;
  DeviceInfo info_;
  std::string cause_;
};

// `call` is one of CudaCalls: MTYOLO_CUDA_CHECK(device, allocate(&p, bytes)).
#define MTYOLO_CUDA_CHECK(device, call) (device).check((device).calls().call, #call, __FILE__, __LINE__)

// Memory of a device, for the caching allocator, whose blocks are reused in the order of one stream.
class CudaMemory : public DeviceRuntime {
 public:
  explicit CudaMemory(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {}
  void* allocate(size_t bytes) override;
  void free(void* pointer, size_t bytes) noexcept override;

 private:
  std::shared_ptr<CudaDevice> device_;
  size_t held_bytes_ = 0;  // the allocator's lock guards it
};

}  // namespace mtyolo

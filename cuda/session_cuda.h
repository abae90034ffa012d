// DeviceSession of an NVIDIA GPU: one stream, pinned memory for transfers, CUDA graphs, timing by events.
// Used by one thread at a time. After an error that the device does not recover from, every call fails at
// once with the first cause. MTYOLO_CUDA_SYNC=1 waits after each kernel, so that its error names it.
#pragma once

#include <memory>
#include <string>

#include "cuda/cuda_device.h"
#include "ops/device/session.h"

namespace mtyolo {

// Throws Error{"device"} with one clear line where there is no such GPU, or it cannot run the kernels. Blocks
// of its allocator may outlive the session.
std::unique_ptr<DeviceSession> open_cuda_session(int index);
// The same on other calls than cudart's.
std::unique_ptr<DeviceSession> open_cuda_session(CudaCalls& calls, int index, const std::string& archs);

}  // namespace mtyolo

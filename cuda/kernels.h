// ops/device/kernels.h for the emulated device and for NVIDIA GPUs.
#pragma once

#include <memory>

#include "ops/device/kernels.h"

namespace mtyolo {

namespace simt {
std::unique_ptr<DeviceKernels> make_device_kernels();
}
namespace cuda {
std::unique_ptr<DeviceKernels> make_device_kernels();
}

}  // namespace mtyolo

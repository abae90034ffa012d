// The kernels of inference by their definitions, element by element on the memory of the emulated device:
// what plans are tested with, apart from the real kernels, which are slow to emulate.
#pragma once

#include "ops/device/kernels.h"

namespace mtyolo::test {

std::shared_ptr<const DeviceKernels> reference_kernels();

}  // namespace mtyolo::test

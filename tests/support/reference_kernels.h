// The kernels of inference by their definitions, element by element on the memory of the emulated device:
// what plans are tested with, apart from the real kernels, which are slow to emulate.
#pragma once

#include "ops/device/kernels.h"

namespace mtyolo::test {

std::shared_ptr<const DeviceKernels> reference_kernels();

// `real`, and behind each of its kernels but suppression the definition on the same operands, compared with
// every value that the kernel stored. Both round operands and results to the same types, so they may differ
// by one rounding to the stored type, half a unit, and by roundings of f32: no more than the number of terms
// of a sum and the 16 steps of an epilogue times half a unit of f32 of the terms' absolute sum (Higham,
// Accuracy and Stability of Numerical Algorithms, 4.2). `fault` gets the first value beyond that.
std::shared_ptr<const DeviceKernels> checked_kernels(std::shared_ptr<const DeviceKernels> real,
                                                     std::shared_ptr<std::string> fault);

}  // namespace mtyolo::test

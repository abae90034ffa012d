// The optimizer's step, on the arguments of ops/device/training.h.
#pragma once

#include "cuda/dims.h"
#include "ops/device/training.h"

namespace mtyolo {

constexpr size_t gradient_squares_workspace(int64_t n) { return size_t((n + 8191) / 8192) * sizeof(double); }

// Throw Error{"check"} for null pointers and sizes below 1. gradient_squares adds the squares of n gradients
// to control->squares, in an order that depends on n alone, and sets non_finite.
#define MTYOLO_OPTIMIZER                                                                              \
  void gradient_squares(KernelStream stream, const float* gradients, int64_t n, StepControl* control, \
                        void* workspace);                                                             \
  void begin_step(KernelStream stream, const BeginStepArgs& args);                                    \
  void optimizer_step(KernelStream stream, const OptimizerStepArgs& args);
namespace simt {
MTYOLO_OPTIMIZER
}
namespace cuda {
MTYOLO_OPTIMIZER
}
#undef MTYOLO_OPTIMIZER

}  // namespace mtyolo

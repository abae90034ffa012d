// The optimizer's step over flat buffers, all on the device: nothing of it waits for the host, and a recorded
// sequence of it stays right from step to step. Formulas: train/optimizer.h, train/ema.h; cuda.md section 8.
// A step is: gradient_squares for each group, begin_step, optimizer_step for each group.
#pragma once

#include <cstddef>

#include "cuda/dims.h"
#include "ops/device/types.h"

namespace mtyolo {

// In the memory of the device, one for a training run. As here at the start; steps move it.
struct StepControl {
  // What the loss was multiplied with, 1..2^31: halved after a step with nan or inf, doubled after 2000 clean
  // ones.
  float loss_scale = 65536;
  int32_t clean_steps = 0;    // since the scale moved
  int32_t non_finite = 0;     // set where nan or inf is met in a gradient, cleared by begin_step
  uint32_t skip = 0;          // of the present step: no value moves
  double squares = 0;         // of the unscaled gradients, summed since the last step
  float gradient_factor = 1;  // of the present step: unscales and clips
  float norm = 0;             // of the last step's unscaled gradients, before they were clipped
  float ema_rest = 0;         // of the present step: 1 - decay of the average
  int64_t updates = 0;        // steps that were not skipped
};

enum class StepRule : uint8_t { kNone, kSgd, kAdam, kAdamW };  // kNone: values stay, averages move

// One for each group in the memory of the device, where the host writes it before a step: rate of the group's
// schedule times its lr_groups factor, momentum of SGD, decay (0 but for weights).
struct StepRates {
  double rate = 0, momentum = 0, decay = 0;
};
// What begin_step makes of them, in the words of train/optimizer.cpp. SGD: beta1 is the momentum, l2 the
// decay.
struct StepFactors {
  float rate = 0, beta1 = 0, rest1 = 0, beta2 = 0, rest2 = 0, eps = 0, root = 0, l2 = 0, keep = 1;
};

struct BeginStepArgs {
  StepControl* control = nullptr;
  bool dynamic_scale = false;  // else loss_scale stays; steps with nan or inf are skipped all the same
  double most_norm = 0;        // the norm to which gradients are clipped; 0: they are not
  double ema_decay = 0.9999, ema_tau = 2000;
  StepRule rule = StepRule::kSgd;
  double beta1 = 0.937, beta2 = 0.999, eps = 1e-8;  // Adam, AdamW
  int groups = 0;
  const StepRates* rates = nullptr;  // [groups]
  int64_t* counts = nullptr;         // [groups] steps taken; moved by steps that are not skipped
  StepFactors* factors = nullptr;    // [groups]
};

// One group: n elements of each flat buffer. 16 bytes at a time where all of them are aligned for it.
struct OptimizerStepArgs {
  StepRule rule = StepRule::kSgd;
  const StepControl* control = nullptr;
  const StepFactors* factors = nullptr;  // of this group
  int64_t n = 0;
  float* values = nullptr;
  const float* gradients = nullptr;
  float *first = nullptr, *second = nullptr;  // moments; second of Adam only
  float* averages = nullptr;                  // or null
  void* copy = nullptr;                       // of the new values, or null; f16 or bf16
  KernelType copy_type = KernelType::kF16;
};

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

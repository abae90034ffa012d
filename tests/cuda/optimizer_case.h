// Steps of the optimizer on the emulated device beside those of train/optimizer.h and train/ema.h; also what
// the mutation test runs.
#pragma once

#include <string>

#include "cuda/optimizer.h"

namespace mtyolo::test {

struct OptimizerCase {
  StepRule rule = StepRule::kSgd;
  int sizes[3] = {8, 37, 5};  // norms, weights, biases: neighbours in the flat buffers
  KernelType copy = KernelType::kF16;
  double most_norm = 0;
  int bad_step = -1;  // with an inf among its gradients
};

// "" when three steps give the CPU's values, moments and averages, and the bad one moves nothing.
std::string optimizer_fault(const OptimizerCase& c);

}  // namespace mtyolo::test

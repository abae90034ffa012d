// Batch norm in training on the emulated device, forward and backward, beside ops/batch_norm.h's definition
// in double precision; also what the mutation test runs.
#pragma once

#include <string>

#include "cuda/norm.h"

namespace mtyolo::test {

struct NormCase {
  int n = 1, h = 1, w = 1, c = 1;
  int before = 0, after = 0;  // channels beside the slices of a, ga and gy
  KernelActivation activation = KernelActivation::kSilu;
  bool frozen = false, in_place = false;
  double centre = 0, spread = 1;  // of y
};

// "" when all results are right and nothing beside them was written; else what is wrong.
std::string norm_fault(KernelType type, const NormCase& c);

}  // namespace mtyolo::test

// Inputs and layouts for tests of ops.
#pragma once

#include <vector>

#include "ops/impls.h"

namespace mtyolo::test {

// A context and the registered implementations.
struct OpSetup {
  Context ctx{2};
  ops::Impls impls;
  OpSetup() { ops::register_cpu_impls(impls); }
};

// Normal values that depend on the seed alone.
Tensor random_tensor(const Shape& shape, uint64_t seed, DType type = DType::kF32);
// The same values with gaps between the elements in memory.
Tensor with_gaps(const Tensor& t);
// The same image in the layouts an op must take: contiguous, channels-last, with gaps.
std::vector<Tensor> layouts(const Tensor& image);
// Largest absolute difference; infinite when shapes or NaNs differ.
double max_difference(const Tensor& a, const Tensor& b);

}  // namespace mtyolo::test

// Facts about stored tensors: what `mtyolo info --tensors` prints, and which of them are not finite.
#pragma once

#include <string>
#include <vector>

#include "models/weights/checkpoint.h"

namespace mtyolo::models {

struct TensorDigest {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  double sum = 0, abs_sum = 0;  // of the stored values, accumulated in f64 in row-major order
  std::string sha256;           // of the elements, row-major, little-endian
};

TensorDigest digest_of(const std::string& name, const Tensor& tensor);
// Of every tensor of a state dict, in its order; `prefix` stands before each name ("ema.").
std::vector<TensorDigest> digests_of(const StateDict& tensors, const std::string& prefix = {});

// Names of the floating tensors that hold NaN or infinity.
std::vector<std::string> non_finite_tensors(const StateDict& tensors);

}  // namespace mtyolo::models

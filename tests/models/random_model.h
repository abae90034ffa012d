// Models for tests, and images for them.
#pragma once

#include "models/model.h"

namespace mtyolo::test {

// Fresh weights, statistics and affine terms of every batch norm and implicit terms drawn.
models::Model random_model(const models::Cfg& cfg, uint64_t seed);
// A shipped network at a fraction of its width, with fresh weights.
models::Model narrow_model(const std::string& name, double width = 0.125);
// Of [N,3,H,W], uniform in 0..1.
Tensor random_images(const Shape& shape, uint64_t seed = 5);

}  // namespace mtyolo::test

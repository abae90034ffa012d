// A model of a cfg whose batch norms do something, and images for it.
#pragma once

#include "models/model.h"

namespace mtyolo::test {

// Fresh weights, statistics and affine terms of every batch norm and implicit terms drawn.
models::Model random_model(const models::Cfg& cfg, uint64_t seed);
// Of [N,3,H,W], uniform in 0..1.
Tensor random_images(const Shape& shape, uint64_t seed = 5);

}  // namespace mtyolo::test

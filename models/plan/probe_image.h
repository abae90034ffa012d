// The picture that two forms of one network are compared on.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace mtyolo::models {

// [N,C,H,W] f32 in 0..1 with the statistics of photographs: octaves of random grids, joined linearly, whose
// contrast grows with the patch (1/f). White noise would not do: networks of random weights amplify the
// rounding of f32 on it until a difference says nothing of the forms compared.
Tensor probe_image(Context& ctx, const Shape& shape, uint64_t seed);

}  // namespace mtyolo::models

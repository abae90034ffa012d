// Concatenation along the channels of N,C,H,W tensors, in the order given.
// Throws Error when N, H or W differ. Source: graph.md 3.1. Oracle: torch.cat(dim=1).
#pragma once

#include <span>

#include "ops/impls.h"

namespace mtyolo::ops {

struct Concat {
  bool operator==(const Concat&) const = default;
};

Shape concat_shape(std::span<const Shape> inputs);
void concat_forward(Context& ctx, std::span<const Tensor> inputs, Tensor& y);

}  // namespace mtyolo::ops

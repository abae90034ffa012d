// Concatenation along the channels of N,C,H,W tensors, in the order given.
// Throws Error when N, H or W differ. Source: graph.md 3.1. Oracle: torch.cat(dim=1).
#pragma once

#include <span>

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

struct Concat {
  bool operator==(const Concat&) const = default;
};

Shape concat_shape(std::span<const Shape> inputs);
// An input that is its channels of y already (a view of the same elements) is left where it lies.
void concat_forward(Context& ctx, std::span<const Tensor> inputs, Tensor& y);
// The gradient of the input that begins at channel `first`: channels first..first+C-1 of gy, for gx of C
// channels.
void concat_backward(Context& ctx, const Tensor& gy, int64_t first, GradMode mode, Tensor& gx);

}  // namespace mtyolo::ops

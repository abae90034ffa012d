// Elementwise sum y = a + b of equal shapes (Shortcut, residual blocks, RepConv branches). f32 or f64.
// Throws Error when the shapes differ. Source: graph.md 3.1.
#pragma once

#include "ops/impls.h"

namespace mtyolo::ops {

struct Add {
  bool operator==(const Add&) const = default;
};

void add_forward(Context& ctx, const Tensor& a, const Tensor& b, Tensor& y);

}  // namespace mtyolo::ops

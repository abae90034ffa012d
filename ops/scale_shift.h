// Implicit knowledge: a learned vector per channel that is added to or multiplied with a map.
//   kAdd  y[n,c,i,j] = x[n,c,i,j] + implicit[c]      (ImplicitA)
//   kMul  y[n,c,i,j] = x[n,c,i,j] * implicit[c]      (ImplicitM)
//   x, y [N,C,H,W] f32 or f64; implicit [1,C,1,1]. Throws Error when C differs.
// Source: graph.md 3.1; YOLOR, arXiv:2105.04206.
#pragma once

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

enum class ImplicitKind : uint8_t { kAdd, kMul };

struct ScaleShift {
  ImplicitKind kind = ImplicitKind::kAdd;
  bool operator==(const ScaleShift&) const = default;
};

void scale_shift_forward(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p,
                         Tensor& y);

// kAdd: gx = gy, g_implicit[c] = sum gy.  kMul: gx = gy * implicit[c], g_implicit[c] = sum gy * x.
// gx or g_implicit undefined: not wanted. g_implicit is added to.
void scale_shift_backward(Context& ctx, const Tensor& x, const Tensor& implicit, const Tensor& gy,
                          const ScaleShift& p, GradMode mode, Tensor& gx, Tensor& g_implicit);

}  // namespace mtyolo::ops

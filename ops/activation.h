// Pointwise activations.
//   silu        y = x / (1 + exp(-x))
//   leaky_relu  y = x > 0 ? x : slope * x            (slope 0.1 in yolov7-tiny)
//   sigmoid     y = 1 / (1 + exp(-x))
//   relu        y = max(x, 0)
//   hardswish   y = x * clamp(x + 3, 0, 6) / 6
//   x, y  any shape, f32 or f64. Source: graph.md 3.1. Oracle: torch.nn.functional.
#pragma once

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

enum class ActivationKind : uint8_t { kIdentity, kSilu, kLeakyRelu, kSigmoid, kRelu, kHardswish };

struct Activation {
  ActivationKind kind = ActivationKind::kIdentity;
  float slope = 0.1f;  // kLeakyRelu only
  bool operator==(const Activation&) const = default;
};

std::string_view name(ActivationKind kind);

struct ActivationForward {
  static constexpr const char* kName = "activation";
  struct Query {
    const Tensor& x;
  };
  using Run = void (*)(Context&, const Tensor& x, const Activation&, Tensor& y);
};

void activation_forward(Context& ctx, const Impls& impls, const Tensor& x, const Activation& p, Tensor& y);
double activation_reference(const Activation& p, double x);  // the definition, one value
double activation_slope(const Activation& p, double x);  // dy/dx; leaky_relu at 0: the slope; relu at 0: 0

// gx = gy * dy/dx(x), x as given to the forward function.
struct ActivationBackward {
  static constexpr const char* kName = "activation_grad";
  struct Query {
    const Tensor& x;
  };
  using Run = void (*)(Context&, const Tensor& x, const Tensor& gy, const Activation&, GradMode, Tensor& gx);
};
void activation_backward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                         const Activation& p, GradMode mode, Tensor& gx);

}  // namespace mtyolo::ops

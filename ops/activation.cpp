#include "ops/activation.h"

#include <algorithm>
#include <cmath>

#include "ops/checks.h"

namespace mtyolo::ops {

std::string_view name(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kIdentity:
      return "identity";
    case ActivationKind::kSilu:
      return "silu";
    case ActivationKind::kLeakyRelu:
      return "leaky_relu";
    case ActivationKind::kSigmoid:
      return "sigmoid";
    case ActivationKind::kRelu:
      return "relu";
    case ActivationKind::kHardswish:
      return "hardswish";
  }
  return "unknown";
}

double activation_reference(const Activation& p, double x) {
  switch (p.kind) {
    case ActivationKind::kIdentity:
      return x;
    case ActivationKind::kSilu:
      return x / (1 + std::exp(-x));
    case ActivationKind::kLeakyRelu:
      return x > 0 ? x : double(p.slope) * x;
    case ActivationKind::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case ActivationKind::kRelu:
      return std::max(x, 0.0);
    case ActivationKind::kHardswish:
      return x * std::clamp(x + 3, 0.0, 6.0) / 6;
  }
  fail(ExitCode::kRuntime, "check", "activation: unknown kind {}", int(p.kind));
}

double activation_slope(const Activation& p, double x) {
  switch (p.kind) {
    case ActivationKind::kIdentity:
      return 1;
    case ActivationKind::kSilu: {
      const double s = 1 / (1 + std::exp(-x));
      return s * (1 + x * (1 - s));
    }
    case ActivationKind::kLeakyRelu:
      return x > 0 ? 1 : double(p.slope);
    case ActivationKind::kSigmoid: {
      const double s = 1 / (1 + std::exp(-x));
      return s * (1 - s);
    }
    case ActivationKind::kRelu:
      return x > 0 ? 1 : 0;
    case ActivationKind::kHardswish:
      return x < -3 ? 0 : x > 3 ? 1 : (2 * x + 3) / 6;
  }
  fail(ExitCode::kRuntime, "check", "activation: unknown kind {}", int(p.kind));
}

void activation_forward(Context& ctx, const Impls& impls, const Tensor& x, const Activation& p, Tensor& y) {
  check_floating("activation", "input", x);
  check_output("activation", y, x.shape(), x);
  impls.choose<ActivationForward>({x}).run(ctx, x, p, y);
}

void activation_backward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                         const Activation& p, GradMode mode, Tensor& gx) {
  check_floating("activation_grad", "input", x);
  check_gradient("activation_grad", "gy", gy, x.shape(), x);
  check_output("activation_grad", gx, x.shape(), x);
  impls.choose<ActivationBackward>({x}).run(ctx, x, gy, p, mode, gx);
}

}  // namespace mtyolo::ops

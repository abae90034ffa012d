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

void activation_forward(Context& ctx, const Impls& impls, const Tensor& x, const Activation& p, Tensor& y) {
  check_floating("activation", "input", x);
  check_output("activation", y, x.shape(), x);
  impls.choose<ActivationForward>({x}).run(ctx, x, p, y);
}

}  // namespace mtyolo::ops

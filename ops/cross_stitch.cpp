#include "ops/cross_stitch.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {

void cross_stitch_forward(Context& ctx, std::span<const Tensor> x, const Tensor& weight, Tensor& y) {
  MTYOLO_CHECK(!x.empty(), "cross_stitch: no input, expected at least one");
  for (const Tensor& input : x) {
    check_image("cross_stitch", "input", input);
    check_gradient("cross_stitch", "input", input, x[0].shape(), x[0]);
  }
  check_same_type("cross_stitch", "weight", weight, x[0]);
  MTYOLO_CHECK(weight.shape() == Shape({int64_t(x.size()), x[0].size(1)}),
               "cross_stitch: weight has shape {}, expected [{},{}] for {} inputs {}", weight.shape(),
               x.size(), x[0].size(1), x.size(), x[0]);
  check_output("cross_stitch", y, x[0].shape(), x[0]);
  if (y.is_blocked()) return blocked::cross_stitch_forward(ctx, x, weight, y);
  cross_stitch_cpu(ctx, x, weight, y);
}

void cross_stitch_backward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& gy,
                           GradMode mode, Tensor& gx, Tensor& g_weight) {
  check_image("cross_stitch_grad", "input", x);
  check_gradient("cross_stitch_grad", "weight", weight, {x.size(1)}, x);
  check_gradient("cross_stitch_grad", "gy", gy, x.shape(), x);
  if (gx.defined()) check_output("cross_stitch_grad", gx, x.shape(), x);
  if (g_weight.defined()) check_output("cross_stitch_grad", g_weight, {x.size(1)}, x);
  if (x.is_blocked()) return blocked::cross_stitch_backward(ctx, x, weight, gy, mode, gx, g_weight);
  cross_stitch_grad_cpu(ctx, x, weight, gy, mode, gx, g_weight);
}

}  // namespace mtyolo::ops

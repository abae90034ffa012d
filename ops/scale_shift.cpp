#include "ops/scale_shift.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {
namespace {

void check_implicit(const char* op, const Tensor& implicit, const Tensor& x) {
  check_same_type(op, "implicit", implicit, x);
  MTYOLO_CHECK(implicit.shape() == Shape({1, x.size(1), 1, 1}),
               "{}: implicit has shape {}, expected [1,{},1,1] for the input {}", op, implicit.shape(),
               x.size(1), x);
}

}  // namespace

void scale_shift_forward(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p,
                         Tensor& y) {
  check_image("scale_shift", "input", x);
  check_implicit("scale_shift", implicit, x);
  check_output("scale_shift", y, x.shape(), x);
  if (y.is_blocked()) return blocked::scale_shift_forward(ctx, x, implicit, p, y);
  scale_shift_cpu(ctx, x, implicit, p, y);
}

void scale_shift_backward(Context& ctx, const Tensor& x, const Tensor& implicit, const Tensor& gy,
                          const ScaleShift& p, GradMode mode, Tensor& gx, Tensor& g_implicit) {
  check_image("scale_shift_grad", "input", x);
  check_implicit("scale_shift_grad", implicit, x);
  check_gradient("scale_shift_grad", "gy", gy, x.shape(), x);
  if (gx.defined()) check_output("scale_shift_grad", gx, x.shape(), x);
  if (g_implicit.defined()) check_output("scale_shift_grad", g_implicit, implicit.shape(), x);
  if (x.is_blocked()) return blocked::scale_shift_backward(ctx, x, implicit, gy, p, mode, gx, g_implicit);
  scale_shift_grad_cpu(ctx, x, implicit, gy, p, mode, gx, g_implicit);
}

}  // namespace mtyolo::ops

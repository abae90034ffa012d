#include "ops/space_to_depth.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {

Shape space_to_depth_shape(const Shape& x) {
  check_image_shape("space_to_depth", "input", x);
  MTYOLO_CHECK(x[2] % 2 == 0 && x[3] % 2 == 0,
               "space_to_depth: input {} is {}x{}, expected even height and width", x, x[2], x[3]);
  return {x[0], 4 * x[1], x[2] / 2, x[3] / 2};
}

void space_to_depth_forward(Context& ctx, const Tensor& x, Tensor& y) {
  check_image("space_to_depth", "input", x);
  check_output("space_to_depth", y, space_to_depth_shape(x.shape()), x);
  if (y.is_blocked()) return blocked::space_to_depth_forward(ctx, x, y);
  space_to_depth_cpu(ctx, x, y);
}

void space_to_depth_backward(Context& ctx, const Tensor& gy, GradMode mode, Tensor& gx) {
  check_image("space_to_depth_grad", "gx", gx);
  check_gradient("space_to_depth_grad", "gy", gy, space_to_depth_shape(gx.shape()), gx);
  check_output("space_to_depth_grad", gx, gx.shape(), gy);
  if (gx.is_blocked()) return blocked::space_to_depth_backward(ctx, gy, mode, gx);
  space_to_depth_grad_cpu(ctx, gy, mode, gx);
}

}  // namespace mtyolo::ops

#include "ops/interpolate.h"

#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {

void interpolate_bilinear_forward(Context& ctx, const Tensor& x, Tensor& y) {
  check_float32("interpolate_bilinear", "input", x);
  check_image_shape("interpolate_bilinear", "input", x.shape());
  MTYOLO_CHECK(y.defined() && y.rank() == 4,
               "interpolate_bilinear: output is {}, expected 4 dimensions N,C,H,W", y);
  check_output("interpolate_bilinear", y, {x.size(0), x.size(1), y.size(2), y.size(3)}, x);
  const bool empty = x.size(2) < 1 || x.size(3) < 1 || y.size(2) < 1 || y.size(3) < 1;
  MTYOLO_CHECK(!empty, "interpolate_bilinear: input {} to output {}, expected sides of at least 1", x, y);
  interpolate_bilinear_cpu(ctx, x, y);
}

}  // namespace mtyolo::ops

#include "ops/scale_shift.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {

void scale_shift_forward(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p,
                         Tensor& y) {
  check_image("scale_shift", "input", x);
  check_same_type("scale_shift", "implicit", implicit, x);
  MTYOLO_CHECK(implicit.shape() == Shape({1, x.size(1), 1, 1}),
               "scale_shift: implicit has shape {}, expected [1,{},1,1] for the input {}", implicit.shape(),
               x.size(1), x);
  check_output("scale_shift", y, x.shape(), x);
  if (y.is_blocked()) return blocked::scale_shift_forward(ctx, x, implicit, p, y);
  scale_shift_cpu(ctx, x, implicit, p, y);
}

}  // namespace mtyolo::ops

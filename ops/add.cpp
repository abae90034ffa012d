#include "ops/add.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {

void add_forward(Context& ctx, const Tensor& a, const Tensor& b, Tensor& y) {
  check_floating("add", "first operand", a);
  check_same_type("add", "second operand", b, a);
  MTYOLO_CHECK(a.shape() == b.shape(), "add: the operands have shapes {} and {}, expected equal shapes",
               a.shape(), b.shape());
  check_output("add", y, a.shape(), a);
  if (y.is_blocked()) return blocked::add_forward(ctx, a, b, y);
  add_cpu(ctx, a, b, y);
}

}  // namespace mtyolo::ops

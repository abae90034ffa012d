#include "ops/upsample.h"

#include "core/checked.h"
#include "ops/checks.h"

namespace mtyolo::ops {

Shape upsample_shape(const Shape& x, const Upsample& p) {
  check_image_shape("upsample", "input", x);
  MTYOLO_CHECK(p.scale >= 1, "upsample: scale {}, expected at least 1", p.scale);
  const auto h = checked::mul(uint64_t(x[2]), uint64_t(p.scale)),
             w = checked::mul(uint64_t(x[3]), uint64_t(p.scale));
  MTYOLO_CHECK(h && w && *h <= INT32_MAX && *w <= INT32_MAX, "upsample: input {} times {} is too large", x,
               p.scale);
  return {x[0], x[1], int64_t(*h), int64_t(*w)};
}

void upsample_forward(Context& ctx, const Impls& impls, const Tensor& x, const Upsample& p, Tensor& y) {
  check_image("upsample", "input", x);
  check_output("upsample", y, upsample_shape(x.shape(), p), x);
  impls.choose<UpsampleForward>({x}).run(ctx, x, p, y);
}

void upsample_backward(Context& ctx, const Impls& impls, const Tensor& gy, const Upsample& p, GradMode mode,
                       Tensor& gx) {
  check_image("upsample_grad", "gx", gx);
  check_gradient("upsample_grad", "gy", gy, upsample_shape(gx.shape(), p), gx);
  check_output("upsample_grad", gx, gx.shape(), gy);
  impls.choose<UpsampleBackward>({gy}).run(ctx, gy, p, mode, gx);
}

}  // namespace mtyolo::ops

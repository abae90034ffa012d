#include "ops/max_pool2d.h"

#include "ops/checks.h"

namespace mtyolo::ops {

Shape max_pool2d_shape(const Shape& x, const MaxPool2d& p) {
  check_image_shape("max_pool2d", "input", x);
  MTYOLO_CHECK(p.k >= 1 && p.stride >= 1 && p.pad >= 0,
               "max_pool2d: k {} stride {} pad {}, expected k and stride of at least 1", p.k, p.stride,
               p.pad);
  MTYOLO_CHECK(int64_t(2) * p.pad <= p.k, "max_pool2d: pad {} is more than half of k {}", p.pad, p.k);
  const int64_t room_h = x[2] + 2 * int64_t(p.pad) - p.k, room_w = x[3] + 2 * int64_t(p.pad) - p.k;
  MTYOLO_CHECK(room_h >= 0 && room_w >= 0 && x[2] > 0 && x[3] > 0,
               "max_pool2d: input {} is smaller than the window, k {} stride {} pad {}", x, p.k, p.stride,
               p.pad);
  return {x[0], x[1], room_h / p.stride + 1, room_w / p.stride + 1};
}

void max_pool2d_forward(Context& ctx, const Impls& impls, const Tensor& x, const MaxPool2d& p, Tensor& y) {
  check_image("max_pool2d", "input", x);
  check_output("max_pool2d", y, max_pool2d_shape(x.shape(), p), x);
  impls.choose<MaxPool2dForward>({x, p}).run(ctx, x, p, y);
}

void max_pool2d_backward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                         const MaxPool2d& p, GradMode mode, Tensor& gx) {
  check_image("max_pool2d_grad", "input", x);
  check_gradient("max_pool2d_grad", "gy", gy, max_pool2d_shape(x.shape(), p), x);
  check_output("max_pool2d_grad", gx, x.shape(), x);
  impls.choose<MaxPool2dBackward>({x, p}).run(ctx, x, gy, p, mode, gx);
}

}  // namespace mtyolo::ops

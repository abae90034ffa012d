#include "ops/conv2d.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"

namespace mtyolo::ops {
namespace {

std::string describe(const Conv2d& p) {
  std::string text = fmt::format("kernel {}x{} stride {}x{} pad {}x{}", p.kernel_h, p.kernel_w, p.stride_h,
                                 p.stride_w, p.pad_h, p.pad_w);
  if (p.dilation_h != 1 || p.dilation_w != 1)
    text += fmt::format(" dilation {}x{}", p.dilation_h, p.dilation_w);
  if (p.groups != 1) text += fmt::format(" groups {}", p.groups);
  return text;
}

int64_t out_size(int64_t size, int kernel, int stride, int pad, int dilation) {
  const int64_t room = size + 2 * int64_t(pad) - int64_t(dilation) * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

}  // namespace

Conv2d Conv2d::square(int kernel, int stride, int pad, int groups) {
  return {.kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .pad_h = pad,
          .pad_w = pad,
          .groups = groups};
}

Shape conv2d_shape(const Shape& x, const Shape& weight, const Conv2d& p) {
  const auto operands = [&] { return fmt::format("\n  input {}, weight {}, {}", x, weight, describe(p)); };
  check_image_shape("conv2d", "input", x);
  MTYOLO_CHECK(weight.rank() == 4, "conv2d: weight has {} dimensions, expected 4 (O, C/groups, kh, kw){}",
               weight.rank(), operands());
  const bool positive = p.kernel_h >= 1 && p.kernel_w >= 1 && p.stride_h >= 1 && p.stride_w >= 1 &&
                        p.dilation_h >= 1 && p.dilation_w >= 1 && p.groups >= 1;
  MTYOLO_CHECK(positive && p.pad_h >= 0 && p.pad_w >= 0,
               "conv2d: kernel, stride, dilation and groups must be at least 1 and pad at least 0{}",
               operands());
  MTYOLO_CHECK(weight[2] == p.kernel_h && weight[3] == p.kernel_w,
               "conv2d: weight is for a {}x{} kernel, asked for {}x{}{}", weight[2], weight[3], p.kernel_h,
               p.kernel_w, operands());
  MTYOLO_CHECK(x[1] == weight[1] * p.groups,
               "conv2d: input has {} channels, weight expects {} ({} per group, {} group{}){}", x[1],
               weight[1] * p.groups, weight[1], p.groups, p.groups == 1 ? "" : "s", operands());
  MTYOLO_CHECK(weight[0] % p.groups == 0, "conv2d: {} output channels do not split into {} groups{}",
               weight[0], p.groups, operands());
  const int64_t h = out_size(x[2], p.kernel_h, p.stride_h, p.pad_h, p.dilation_h);
  const int64_t w = out_size(x[3], p.kernel_w, p.stride_w, p.pad_w, p.dilation_w);
  MTYOLO_CHECK(h >= 1 && w >= 1, "conv2d: the padded input is smaller than the kernel{}", operands());
  return {x[0], weight[0], h, w};
}

void conv2d_forward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Conv2d& p, Tensor& y) {
  check_image("conv2d", "input", x);
  check_same_type("conv2d", "weight", weight, x);
  const Shape shape = conv2d_shape(x.shape(), weight.shape(), p);
  if (bias.defined()) {
    check_same_type("conv2d", "bias", bias, x);
    MTYOLO_CHECK(bias.shape() == Shape({weight.size(0)}),
                 "conv2d: bias has shape {}, expected [{}] for the weight {}", bias.shape(), weight.size(0),
                 weight);
  }
  check_output("conv2d", y, shape, x);
  if (y.is_blocked() && !x.is_blocked()) return blocked::conv2d_forward_plain(ctx, x, weight, bias, p, y);
  impls.choose<Conv2dForward>({x, weight, p}).run(ctx, x, weight, bias, p, y);
}

void conv2d_backward_input(Context& ctx, const Impls& impls, const Tensor& gy, const Tensor& weight,
                           const Conv2d& p, GradMode mode, Tensor& gx) {
  check_image("conv2d_dgrad", "gx", gx);
  check_same_type("conv2d_dgrad", "weight", weight, gx);
  check_gradient("conv2d_dgrad", "gy", gy, conv2d_shape(gx.shape(), weight.shape(), p), gx);
  check_output("conv2d_dgrad", gx, gx.shape(), gy);
  impls.choose<Conv2dBackwardInput>({gy, weight, p, gx}).run(ctx, gy, weight, p, mode, gx);
}

void conv2d_backward_weight(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                            const Conv2d& p, GradMode mode, Tensor& gw, Tensor& gb) {
  check_image("conv2d_wgrad", "input", x);
  check_gradient("conv2d_wgrad", "gy", gy, conv2d_shape(x.shape(), gw.shape(), p), x);
  check_output("conv2d_wgrad", gw, gw.shape(), x);
  if (gb.defined()) check_output("conv2d_wgrad", gb, {gy.size(1)}, x);
  impls.choose<Conv2dBackwardWeight>({x, gy, p, gw}).run(ctx, x, gy, p, mode, gw, gb);
}

}  // namespace mtyolo::ops

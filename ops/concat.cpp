#include "ops/concat.h"

#include "ops/add.h"
#include "ops/blocked/training.h"
#include "ops/checks.h"

namespace mtyolo::ops {

Shape concat_shape(std::span<const Shape> inputs) {
  MTYOLO_CHECK(!inputs.empty(), "concat: no input, expected at least one");
  Shape shape = inputs[0];
  check_image_shape("concat", "input 0", shape);
  for (size_t k = 1; k < inputs.size(); ++k) {
    const Shape& s = inputs[k];
    const bool fits = s.rank() == 4 && s[0] == shape[0] && s[2] == shape[2] && s[3] == shape[3];
    MTYOLO_CHECK(fits, "concat: input {} has shape {}, expected [{},*,{},{}] like input 0", k, s, shape[0],
                 shape[2], shape[3]);
    shape[1] += s[1];
  }
  return shape;
}

namespace {

bool same_elements(const Tensor& a, const Tensor& b) {
  return a.storage() == b.storage() && a.offset() == b.offset() && a.strides() == b.strides();
}

// Image by image, so that contiguous tensors are copied as whole blocks.
void copy_plain(const Tensor& x, int64_t first, Tensor& y) {
  const Tensor to = y.slice(1, first, first + x.size(1));
  if (same_elements(x, to)) return;
  for (int64_t n = 0; n < x.size(0); ++n) to.slice(0, n, n + 1).copy_from(x.slice(0, n, n + 1));
}

}  // namespace

void concat_forward(Context& ctx, std::span<const Tensor> inputs, Tensor& y) {
  std::vector<Shape> shapes;
  for (const Tensor& x : inputs) {
    check_floating("concat", "input", x);
    check_same_type("concat", "input", x, inputs[0]);
    shapes.push_back(x.shape());
  }
  const Shape shape = concat_shape(shapes);
  check_output("concat", y, shape, inputs[0]);
  if (y.is_blocked()) return blocked::concat_forward(ctx, inputs, y);
  int64_t channel = 0;
  for (const Tensor& x : inputs) {
    copy_plain(x, channel, y);
    channel += x.size(1);
  }
}

void concat_backward(Context& ctx, const Tensor& gy, int64_t first, GradMode mode, Tensor& gx) {
  check_image("concat_grad", "gy", gy);
  check_image("concat_grad", "gx", gx);
  const bool fits = first >= 0 && first + gx.size(1) <= gy.size(1) && gx.size(0) == gy.size(0) &&
                    gx.size(2) == gy.size(2) && gx.size(3) == gy.size(3);
  MTYOLO_CHECK(fits, "concat_grad: gx {} does not fit into gy {} at channel {}", gx, gy, first);
  check_output("concat_grad", gx, gx.shape(), gy);
  if (gx.is_blocked()) return blocked::concat_backward(ctx, gy, int(first), mode, gx);
  const Tensor part = gy.slice(1, first, first + gx.size(1));
  if (mode == GradMode::kAccumulate) add_forward(ctx, gx, part, gx);
  else copy_plain(part, 0, gx);
}

}  // namespace mtyolo::ops

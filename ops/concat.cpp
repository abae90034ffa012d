#include "ops/concat.h"

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
    // Image by image, so that contiguous tensors are copied as whole blocks.
    for (int64_t n = 0; n < shape[0]; ++n)
      y.slice(0, n, n + 1).slice(1, channel, channel + x.size(1)).copy_from(x.slice(0, n, n + 1));
    channel += x.size(1);
  }
}

}  // namespace mtyolo::ops

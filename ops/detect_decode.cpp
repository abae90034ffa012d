#include "ops/detect_decode.h"

#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {

Shape detect_decode_shape(const Shape& raw, const DetectDecode& p) {
  check_image_shape("detect_decode", "input", raw);
  const int64_t anchors = p.anchor_count();
  MTYOLO_CHECK(anchors >= 1 && p.anchors.size() % 2 == 0,
               "detect_decode: {} anchor numbers, expected pairs of width and height", p.anchors.size());
  MTYOLO_CHECK(raw[1] % anchors == 0 && raw[1] / anchors >= 5,
               "detect_decode: input {} has {} channels, expected {} anchors times at least 5 columns", raw,
               raw[1], anchors);
  return {raw[0], anchors * raw[2] * raw[3], raw[1] / anchors};
}

void detect_decode_forward(Context& ctx, const Tensor& raw, const DetectDecode& p, Tensor& y) {
  check_float32("detect_decode", "input", raw);
  check_output("detect_decode", y, detect_decode_shape(raw.shape(), p), raw);
  detect_decode_cpu(ctx, raw, p, y);
}

}  // namespace mtyolo::ops

// Raw head map to predictions, graph.md 3.4. With s = sigmoid, cell (gx, gy), stride and anchor (aw, ah) in
// pixels:
//   x = (2 s(t0) - 0.5 + gx) * stride      w = (2 s(t2))^2 * aw
//   y = (2 s(t1) - 0.5 + gy) * stride      h = (2 s(t3))^2 * ah      other columns s(t)
//   raw  [N, A*no, ny, nx] f32, channel = anchor*no + column
//   y    [N, A*ny*nx, no]  f32, rows in the order anchor, grid row, grid column; centre form, network-input
//   pixels
// Every element is computed by the same instructions whatever its position, so equal logits give equal bits.
#pragma once

#include <vector>

#include "ops/impls.h"

namespace mtyolo::ops {

struct DetectDecode {
  float stride = 8;
  std::vector<float> anchors;  // aw0, ah0, aw1, ah1, ... in pixels
  int anchor_count() const { return int(anchors.size() / 2); }
  bool operator==(const DetectDecode&) const = default;
};

Shape detect_decode_shape(const Shape& raw, const DetectDecode& p);
void detect_decode_forward(Context& ctx, const Tensor& raw, const DetectDecode& p, Tensor& y);

}  // namespace mtyolo::ops

#include <cmath>

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

float sigmoid(float t) { return 1.0f / (1.0f + std::exp(-t)); }

}  // namespace

void detect_decode_cpu(Context& ctx, const Tensor& raw, const DetectDecode& p, Tensor& y) {
  const int64_t anchors = p.anchor_count(), ny = raw.size(2), nx = raw.size(3), columns = y.size(2);
  const View4<const float> from(raw);
  write_contiguous(y, [&](Tensor& out) {
    float* const rows = out.data<float>();
    ctx.pool().parallel_for(raw.size(0) * anchors * ny, [&](int64_t task) {
      const int64_t n = task / (anchors * ny), a = task / ny % anchors, gy = task % ny;
      const float anchor_w = p.anchors[size_t(2 * a)], anchor_h = p.anchors[size_t(2 * a + 1)];
      for (int64_t gx = 0; gx < nx; ++gx) {
        float* row = rows + (task * nx + gx) * columns;
        for (int64_t c = 0; c < columns; ++c) row[c] = sigmoid(from(n, a * columns + c, gy, gx));
        row[0] = (2 * row[0] - 0.5f + float(gx)) * p.stride;
        row[1] = (2 * row[1] - 0.5f + float(gy)) * p.stride;
        row[2] = 2 * row[2] * (2 * row[2]) * anchor_w;
        row[3] = 2 * row[3] * (2 * row[3]) * anchor_h;
      }
    });
  });
}

}  // namespace mtyolo::ops

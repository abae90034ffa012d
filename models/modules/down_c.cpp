// DownC (graph.md 3.1): halves the picture by a strided convolution beside a max pool.
#include "models/module.h"

namespace mtyolo::models {

int expand_down_c(const ModuleCall& call) {
  call.expect_arguments(2);
  GraphBuilder& b = call.builder;
  const int k = call.whole(1, "the stride", 2, 1, kMaxStride), half = call.c2 / 2;
  const int wide = conv_block(b, call.child("cv1"), call.x(), call.c1());
  const int left = conv_block(b, call.child("cv2"), wide, half, {3, k});
  const int right = conv_block(b, call.child("cv3"), b.max_pool(call.child("mp"), call.x(), k, k, 0), half);
  return b.concat(call.scope, {left, right});
}

}  // namespace mtyolo::models

// MP, SP, SPP, SPPF (graph.md 3.1).
#include "models/module.h"

namespace mtyolo::models {

int expand_mp(const ModuleCall& call) {
  call.expect_arguments(1);
  const int k = call.whole(0, "the window", 2, 1, kMaxStride);
  return call.builder.max_pool(call.scope, call.x(), k, k, 0);
}

int expand_sp(const ModuleCall& call) {
  call.expect_arguments(2);
  const int k = call.whole(0, "the window", 3, 1, kMaxKernel);
  return call.builder.max_pool(call.scope, call.x(), k, call.whole(1, "the stride", 1, 1, kMaxStride), k / 2);
}

int expand_spp(const ModuleCall& call) {
  call.expect_arguments(2);
  GraphBuilder& b = call.builder;
  const int z = conv_block(b, call.child("cv1"), call.x(), call.c1() / 2);
  std::vector<int> parts{z};
  for (const int k : call.wholes(1, "the windows", {5, 9, 13}, 1, kMaxKernel))
    parts.push_back(b.max_pool(call.child("m"), z, k, 1, k / 2));
  return conv_block(b, call.child("cv2"), b.concat(call.scope, parts), call.c2);
}

int expand_sppf(const ModuleCall& call) {
  call.expect_arguments(2);
  GraphBuilder& b = call.builder;
  const int k = call.whole(1, "the window", 5, 1, kMaxKernel);
  std::vector<int> parts{conv_block(b, call.child("cv1"), call.x(), call.c1() / 2)};
  for (int i = 0; i < 3; ++i) parts.push_back(b.max_pool(call.child("m"), parts.back(), k, 1, k / 2));
  return conv_block(b, call.child("cv2"), b.concat(call.scope, parts), call.c2);
}

}  // namespace mtyolo::models

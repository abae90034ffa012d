// SPPCSPC (graph.md 3.1): pyramid pooling on one of two paths. Its arguments n, shortcut and g have no
// effect.
#include "models/module.h"

namespace mtyolo::models {

int expand_sppcspc(const ModuleCall& call) {
  call.expect_arguments(5);
  GraphBuilder& b = call.builder;
  const int hidden = int(2 * call.c2 * call.real(3, "the expansion", 0.5, 0, 16));
  const auto cv = [&](const char* name, int x, int c2, int k) {
    return conv_block(b, call.child(name), x, c2, {k});
  };
  const int narrow = cv("cv1", call.x(), hidden, 1);
  const int bypass = cv("cv2", call.x(), hidden, 1);
  const int a = cv("cv4", cv("cv3", narrow, hidden, 3), hidden, 1);
  std::vector<int> parts{a};
  for (const int k : call.wholes(4, "the windows", {5, 9, 13}, 1, kMaxKernel))
    parts.push_back(b.max_pool(call.child("m"), a, k, 1, k / 2));
  const int pooled = cv("cv6", cv("cv5", b.concat(call.child("pools"), parts), hidden, 1), hidden, 3);
  return cv("cv7", b.concat(call.scope, {pooled, bypass}), call.c2, 1);
}

}  // namespace mtyolo::models

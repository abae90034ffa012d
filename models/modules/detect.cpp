// Detect, IDetect, IAuxDetect (graph.md 3.4): 1x1 convolutions to the raw maps, with implicit terms in the I
// forms.
#include "models/module.h"

namespace mtyolo::models {
namespace {

using Kind = ParamInfo::Kind;

// Registers the tensors in PyTorch's order: anchors, anchor_grid, m, (m2), ia, im.
void declare_tensors(const ModuleCall& call, const Head& head, int outputs, bool with_implicit) {
  GraphBuilder& b = call.builder;
  const auto levels = int64_t(head.anchors.size()), na = int64_t(head.anchors[0].size() / 2);
  b.declare(head.prefix + "anchors", {levels, na, 2}, Kind::kAnchors);
  b.declare(head.prefix + "anchor_grid", {levels, 1, na, 1, 1, 2}, Kind::kAnchorGrid);
  for (const char* list : {"m", "m2"}) {
    const size_t first = list[1] == '2' ? size_t(levels) : 0;
    if (first >= call.inputs.size()) continue;
    for (int64_t i = 0; i < levels; ++i)
      b.declare_conv2d(head.prefix + fmt::format("{}.{}", list, i),
                       b.channels(call.inputs[first + size_t(i)]), outputs, ops::Conv2d{}, true);
  }
  if (!with_implicit) return;
  for (int64_t i = 0; i < levels; ++i)
    b.declare(head.prefix + fmt::format("ia.{}.implicit", i), {1, b.channels(call.inputs[size_t(i)]), 1, 1},
              Kind::kImplicitAdd);
  for (int64_t i = 0; i < levels; ++i)
    b.declare(head.prefix + fmt::format("im.{}.implicit", i), {1, outputs, 1, 1}, Kind::kImplicitMul);
}

}  // namespace

Head expand_detect(const ModuleCall& call, const HeadGroup& group) {
  GraphBuilder& b = call.builder;
  call.expect_arguments(2);
  Head head;
  head.name = group.name;
  head.type = call.row.module;
  head.classes = group.classes;
  head.prefix = call.scope + ".";
  head.anchors = b.cfg().anchors;
  const bool aux = head.type == "IAuxDetect";
  const size_t levels = head.anchors.size();
  if (call.inputs.size() != levels * (aux ? 2 : 1))
    b.fail_row(fmt::format("reads {} rows, expected {} for {} levels of anchors", call.inputs.size(),
                           levels * (aux ? 2 : 1), levels));
  const bool folded = b.implicit_is_folded();
  // Once folded, the implicit terms stay in yolov7's file but are not applied; a merged file has none.
  const bool has_implicit = head.type != "Detect" && (!folded || b.has_tensor(head.prefix + "ia.0.implicit"));
  const int outputs = int(head.anchors[0].size() / 2) * (head.nc() + 5);
  declare_tensors(call, head, outputs, has_implicit);
  for (size_t i = 0; i < levels; ++i) {
    const auto child = [&](const char* name) { return head.prefix + fmt::format("{}.{}", name, i); };
    int x = call.inputs[i];
    if (has_implicit && !folded) x = b.implicit(child("ia"), x, ops::ImplicitKind::kAdd);
    x = b.conv2d(child("m"), x, outputs, ops::Conv2d{}, true);
    if (has_implicit && !folded) x = b.implicit(child("im"), x, ops::ImplicitKind::kMul);
    head.raw.push_back(x);
  }
  // A fused model is for inference, which does not evaluate m2 (graph.md 4).
  for (size_t i = 0; aux && !folded && i < levels; ++i)
    head.aux_raw.push_back(b.conv2d(head.prefix + fmt::format("m2.{}", i), call.inputs[levels + i], outputs,
                                    ops::Conv2d{}, true));
  return head;
}

}  // namespace mtyolo::models

// RepConv (graph.md 3.3): three parallel branches in training, one convolution once merged.
#include "models/module.h"

namespace mtyolo::models {

int expand_rep_conv(const ModuleCall& call) {
  call.expect_arguments(7);
  GraphBuilder& b = call.builder;
  const int k = call.whole(1, "the kernel", 3, 1, kMaxKernel);
  const int pad = call.whole(3, "the padding", k / 2, 0, kMaxKernel);
  if (k != 3 || pad != 1)
    b.fail_row(fmt::format("RepConv with kernel {} and padding {}, expected 3 and 1", k, pad));
  ops::Conv2d dense;
  dense.kernel_h = dense.kernel_w = 3;
  dense.pad_h = dense.pad_w = 1;
  dense.stride_h = dense.stride_w = call.whole(2, "the stride", 1, 1, kMaxStride);
  dense.groups = call.whole(4, "the groups", 1, 1, kMaxChannels);
  const ops::Activation act = call.act(5);
  const std::string reparam = call.child("rbr_reparam");
  if (call.flag(6, "deploy", false) || b.has_tensor(reparam + ".weight"))
    return b.activation(call.child("act"), b.conv2d(reparam, call.x(), call.c2, dense, true), act);

  ops::Conv2d one = dense;
  one.kernel_h = one.kernel_w = 1;
  one.pad_h = one.pad_w = 0;
  const bool has_identity = call.c1() == call.c2 && dense.stride_h == 1;
  // The identity's entries come first in the state dict.
  const int identity = has_identity ? b.batch_norm(call.child("rbr_identity"), call.x()) : -1;
  const auto branch = [&](const std::string& name, const ops::Conv2d& conv) {
    return b.batch_norm(call.child(name + ".1"),
                        b.conv2d(call.child(name + ".0"), call.x(), call.c2, conv, false));
  };
  int sum = branch("rbr_dense", dense);
  sum = b.add(call.scope, sum, branch("rbr_1x1", one));
  if (has_identity) sum = b.add(call.scope, sum, identity);
  return b.activation(call.child("act"), sum, act);
}

}  // namespace mtyolo::models

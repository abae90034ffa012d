// Conv, DWConv, Focus, Stem (graph.md 3.1).
#include <numeric>

#include "models/module.h"

namespace mtyolo::models {
namespace {

// Arguments c2, k=1, s=1, p=None, g=1 from row argument 1 on; k, s and p may be lists of two.
ops::Conv2d conv_arguments(const ModuleCall& call) {
  const auto pair = [&](size_t index, const char* what, std::vector<int> missing, int low, int high) {
    std::vector<int> v = call.wholes(index, what, std::move(missing), low, high);
    if (v.size() == 1) v.push_back(v[0]);
    if (v.size() != 2) call.builder.fail_row(fmt::format("{} is a list of {}, expected 2", what, v.size()));
    return v;
  };
  const std::vector<int> k = pair(1, "the kernel", {1}, 1, kMaxKernel);
  const std::vector<int> s = pair(2, "the stride", {1}, 1, kMaxStride);
  const std::vector<int> p = pair(3, "the padding", {k[0] / 2, k[1] / 2}, 0, kMaxKernel);
  ops::Conv2d conv;
  conv.kernel_h = k[0], conv.kernel_w = k[1];
  conv.stride_h = s[0], conv.stride_w = s[1];
  conv.pad_h = p[0], conv.pad_w = p[1];
  conv.groups = call.whole(4, "the groups", 1, 1, kMaxChannels);
  return conv;
}

ops::Conv2d square(const ConvBlock& p) {
  ops::Conv2d conv;
  conv.kernel_h = conv.kernel_w = p.k;
  conv.stride_h = conv.stride_w = p.s;
  conv.pad_h = conv.pad_w = p.k / 2;
  conv.groups = p.groups;
  return conv;
}

}  // namespace

int conv_block(GraphBuilder& builder, const std::string& scope, int x, int c2, const ops::Conv2d& conv,
               const ops::Activation& act) {
  const bool fused = builder.is_fused(scope);
  int y = builder.conv2d(scope + ".conv", x, c2, conv, fused);
  if (!fused) y = builder.batch_norm(scope + ".bn", y);
  return builder.activation(scope + ".act", y, act);
}

int conv_block(GraphBuilder& builder, const std::string& scope, int x, int c2, const ConvBlock& p) {
  return conv_block(builder, scope, x, c2, square(p), p.act);
}

void declare_conv_block(GraphBuilder& builder, const std::string& scope, int c1, int c2, const ConvBlock& p) {
  const bool fused = builder.is_fused(scope);
  builder.declare_conv2d(scope + ".conv", c1, c2, square(p), fused);
  if (!fused) builder.declare_batch_norm(scope + ".bn", c2);
}

int expand_conv(const ModuleCall& call) {
  call.expect_arguments(6);
  return conv_block(call.builder, call.scope, call.x(), call.c2, conv_arguments(call), call.act(5));
}

int expand_dw_conv(const ModuleCall& call) {
  call.expect_arguments(4);
  const ConvBlock p{call.whole(1, "the kernel", 1, 1, kMaxKernel),
                    call.whole(2, "the stride", 1, 1, kMaxStride), std::gcd(call.c1(), call.c2), call.act(3)};
  return conv_block(call.builder, call.scope, call.x(), call.c2, p);
}

int expand_focus(const ModuleCall& call) {
  call.expect_arguments(6);
  const int z = call.builder.space_to_depth(call.scope, call.x());
  return conv_block(call.builder, call.child("conv"), z, call.c2, conv_arguments(call), call.act(5));
}

int expand_stem(const ModuleCall& call) {
  GraphBuilder& b = call.builder;
  const int half = call.c2 / 2;
  const int z = conv_block(b, call.child("cv1"), call.x(), half, {3, 2});
  const int narrow = conv_block(b, call.child("cv2"), z, half);
  const int left = conv_block(b, call.child("cv3"), narrow, half, {3, 2});
  const int right = b.max_pool(call.child("pool"), z, 2, 2, 0);
  return conv_block(b, call.child("cv4"), b.concat(call.scope, {left, right}), call.c2);
}

}  // namespace mtyolo::models

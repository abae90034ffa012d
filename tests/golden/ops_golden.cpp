// Forward values of every op the graph uses, each with every implementation registered for it. The gradients
// of the cases are not checked here: backward passes come with training.
#include <functional>
#include <map>

#include "ops/activation.h"
#include "ops/add.h"
#include "ops/batch_norm.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/detect_decode.h"
#include "ops/fuse.h"
#include "ops/interpolate.h"
#include "ops/max_pool2d.h"
#include "ops/scale_shift.h"
#include "ops/space_to_depth.h"
#include "ops/upsample.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

using nlohmann::json;

struct Case {
  const GoldenCase& golden;
  Context ctx;
  ops::Impls impls;
  const json& params;

  explicit Case(const GoldenCase& c) : golden(c), params(c.info.at("params")) {
    ops::register_cpu_impls(impls);
  }
  const Tensor& operator[](const std::string& name) const { return golden.tensor(name); }
  Tensor optional(const std::string& name) const {
    const Tensor* t = golden.tensors.find(name);
    return t == nullptr ? Tensor() : *t;
  }
  // A tensor to write the result `name` into.
  Tensor output(const std::string& name = "y") const { return Tensor::empty((*this)[name].shape()); }
  void check(const std::string& name, const Tensor& got, const std::string& by = "") const {
    const std::string what = by.empty() ? name : name + " by " + by;
    expect_close(what, got, (*this)[name], tolerance_from(golden.info.at("tolerance").at(name)));
  }
  // Runs and compares every implementation of Op that takes the input.
  template <class Op, class Run>
  void check_impls(const typename Op::Query& query, Run&& run) {
    int compared = 0;
    for (const ops::Impl<Op>& impl : impls.all<Op>()) {
      if (impl.refuses(query) != nullptr) continue;
      Tensor y = output();
      run(impl, y);
      check("y", y, impl.name);
      ++compared;
    }
    expect(compared > 0, "{}: no implementation takes the case", Op::kName);
  }
};

// "kernel": 3 or [3, 3].
std::pair<int, int> pair_of(const json& value) {
  if (value.is_number()) return {int(value), int(value)};
  return {int(value.at(0)), int(value.at(1))};
}

void run_conv2d(Case& c) {
  ops::Conv2d p;
  std::tie(p.kernel_h, p.kernel_w) = pair_of(c.params.at("kernel"));
  std::tie(p.stride_h, p.stride_w) = pair_of(c.params.at("stride"));
  std::tie(p.pad_h, p.pad_w) = pair_of(c.params.at("padding"));
  std::tie(p.dilation_h, p.dilation_w) = pair_of(c.params.at("dilation"));
  p.groups = c.params.at("groups");
  const Tensor bias = c.optional("b");
  const Shape shape = ops::conv2d_shape(c["x"].shape(), c["w"].shape(), p);
  expect(shape == c["y"].shape(), "conv2d_shape is {}, expected {}", shape, c["y"].shape());
  c.check_impls<ops::Conv2dForward>(
      {c["x"], c["w"], p}, [&](const auto& impl, Tensor& y) { impl.run(c.ctx, c["x"], c["w"], bias, p, y); });
}

ops::BatchNormStats batch_norm_stats(const Case& c, const std::string& prefix) {
  return {c[prefix + "weight"], c[prefix + "bias"], c[prefix + "running_mean"], c[prefix + "running_var"]};
}

void run_batch_norm(Case& c) {
  const ops::BatchNorm p{.eps = c.params.at("eps")};
  const ops::BatchNormStats stats = batch_norm_stats(c, "");
  c.check_impls<ops::BatchNormForward>(
      {c["x"]}, [&](const auto& impl, Tensor& y) { impl.run(c.ctx, c["x"], stats, p, y); });
}

ops::Activation activation_from(const std::string& op, const json& params) {
  for (const auto kind :
       {ops::ActivationKind::kSilu, ops::ActivationKind::kLeakyRelu, ops::ActivationKind::kSigmoid,
        ops::ActivationKind::kRelu, ops::ActivationKind::kHardswish})
    if (ops::name(kind) == op) return {.kind = kind, .slope = params.value("slope", 0.1f)};
  throw GoldenNotBuilt("activation " + op + " is not built");
}

void run_activation(Case& c) {
  const ops::Activation p = activation_from(c.golden.info.at("op"), c.params);
  c.check_impls<ops::ActivationForward>({c["x"]},
                                        [&](const auto& impl, Tensor& y) { impl.run(c.ctx, c["x"], p, y); });
}

void run_max_pool2d(Case& c) {
  const ops::MaxPool2d p{
      .k = c.params.at("kernel"), .stride = c.params.at("stride"), .pad = c.params.at("padding")};
  const Shape shape = ops::max_pool2d_shape(c["x"].shape(), p);
  expect(shape == c["y"].shape(), "max_pool2d_shape is {}, expected {}", shape, c["y"].shape());
  c.check_impls<ops::MaxPool2dForward>({c["x"], p},
                                       [&](const auto& impl, Tensor& y) { impl.run(c.ctx, c["x"], p, y); });
}

void run_upsample(Case& c) {
  const ops::Upsample p{.scale = c.params.at("scale")};
  c.check_impls<ops::UpsampleForward>({c["x"]},
                                      [&](const auto& impl, Tensor& y) { impl.run(c.ctx, c["x"], p, y); });
}

// The size of the output is the size asked for, given as "size" or as "scale".
void run_interpolate_bilinear(Case& c) {
  Tensor y = c.output();
  ops::interpolate_bilinear_forward(c.ctx, c["x"], y);
  c.check("y", y);
}

void run_concat(Case& c) {
  if (c.params.value("axis", 1) != 1) throw GoldenNotBuilt("concat along an axis other than 1 is not built");
  std::vector<Tensor> inputs;
  for (const auto& name : c.golden.info.at("inputs")) inputs.push_back(c[name]);
  Tensor y = c.output();
  ops::concat_forward(c.ctx, inputs, y);
  c.check("y", y);
}

void run_implicit(Case& c, ops::ImplicitKind kind) {
  Tensor y = c.output();
  ops::scale_shift_forward(c.ctx, c["a"], c["b"], {kind}, y);
  c.check("y", y);
}

bool is_per_channel(const Tensor& b, const Tensor& a) {
  return a.rank() == 4 && b.shape() == Shape({1, a.size(1), 1, 1});
}

void run_add(Case& c) {
  if (is_per_channel(c["b"], c["a"]) && c["b"].shape() != c["a"].shape())
    return run_implicit(c, ops::ImplicitKind::kAdd);
  Tensor y = c.output();
  ops::add_forward(c.ctx, c["a"], c["b"], y);
  c.check("y", y);
}

void run_mul(Case& c) {
  if (!is_per_channel(c["b"], c["a"])) throw GoldenNotBuilt("mul of two maps is not built");
  run_implicit(c, ops::ImplicitKind::kMul);
}

void run_space_to_depth(Case& c) {
  Tensor y = c.output();
  ops::space_to_depth_forward(c.ctx, c["x"], y);
  c.check("y", y);
}

void run_detect_decode(Case& c) {
  ops::DetectDecode p{.stride = c.params.at("stride"), .anchors = {}};
  const Tensor anchors = c["anchors"].contiguous();
  p.anchors.assign(anchors.data<float>(), anchors.data<float>() + anchors.numel());
  Tensor y = c.output();
  ops::detect_decode_forward(c.ctx, c["x"], p, y);
  c.check("y", y);
}

// y = activation(conv(x)) with the folded parameters, by every convolution.
void check_fused(Case& c, const ops::ConvWeights& fused, int stride) {
  c.check("fused.weight", fused.weight);
  c.check("fused.bias", fused.bias);
  const int kernel = int(fused.weight.size(2));
  const int groups = int(c["x"].size(1) / fused.weight.size(1));
  const auto p = ops::Conv2d::square(kernel, stride, kernel / 2, groups);
  ops::Activation activation;
  if (c.params.contains("activation")) activation = activation_from(c.params.at("activation"), c.params);
  c.check_impls<ops::Conv2dForward>({c["x"], fused.weight, p}, [&](const auto& impl, Tensor& y) {
    impl.run(c.ctx, c["x"], fused.weight, fused.bias, p, y);
    ops::activation_forward(c.ctx, c.impls, y, activation, y);
  });
}

void run_fuse_conv_bn(Case& c) {
  const auto fused = ops::fuse_conv_bn({c["conv.weight"], c.optional("conv.bias")},
                                       batch_norm_stats(c, "bn."), c.params.at("eps"));
  check_fused(c, fused, c.params.value("stride", 1));
}

void run_fuse_repconv(Case& c) {
  ops::RepConvWeights rep{c["rbr_dense.0.weight"], batch_norm_stats(c, "rbr_dense.1."), c["rbr_1x1.0.weight"],
                          batch_norm_stats(c, "rbr_1x1.1."), std::nullopt};
  if (c.golden.tensors.contains("rbr_identity.weight")) rep.identity = batch_norm_stats(c, "rbr_identity.");
  const int groups = int(c["x"].size(1) / rep.dense.size(1));
  check_fused(c, ops::fuse_repconv(rep, c.params.at("eps"), groups), c.params.value("stride", 1));
}

void run_fuse_implicit(Case& c) {
  check_fused(c, ops::fuse_implicit({c["w"], c.optional("b")}, c["ia"], c["im"]), 1);
}

void run_implicit_head(Case& c) {
  const auto p = ops::Conv2d::square(1, 1, 0);
  Tensor shifted = Tensor::empty(c["x"].shape());
  ops::scale_shift_forward(c.ctx, c["x"], c["ia"], {ops::ImplicitKind::kAdd}, shifted);
  c.check_impls<ops::Conv2dForward>({shifted, c["w"], p}, [&](const auto& impl, Tensor& y) {
    impl.run(c.ctx, shifted, c["w"], c["b"], p, y);
    ops::scale_shift_forward(c.ctx, y, c["im"], {ops::ImplicitKind::kMul}, y);
  });
}

const std::map<std::string, std::function<void(Case&)>> kOps{
    {"conv2d", run_conv2d},
    {"batchnorm_eval", run_batch_norm},
    {"silu", run_activation},
    {"leaky_relu", run_activation},
    {"sigmoid", run_activation},
    {"relu", run_activation},
    {"hardswish", run_activation},
    {"maxpool2d", run_max_pool2d},
    {"upsample_nearest", run_upsample},
    {"interpolate_bilinear", run_interpolate_bilinear},
    {"concat", run_concat},
    {"add", run_add},
    {"mul", run_mul},
    {"space_to_depth", run_space_to_depth},
    {"detect_decode", run_detect_decode},
    {"fuse_conv_bn", run_fuse_conv_bn},
    {"fuse_repconv", run_fuse_repconv},
    {"fuse_implicit", run_fuse_implicit},
    {"implicit_head", run_implicit_head},
};

}  // namespace

void run_ops_case(const GoldenCase& c) {
  if (run_loss_ops_case(c)) return;
  const std::string op = c.info.at("op");
  const auto run = kOps.find(op);
  if (run == kOps.end()) throw GoldenNotBuilt("op " + op + " is not built: inference does not use it");
  Case with_impls(c);
  run->second(with_impls);
}

}  // namespace mtyolo::test

// Values and gradients of every op the graph uses, each with every implementation registered for it, on plain
// tensors and on blocked maps.
#include <algorithm>
#include <functional>
#include <map>

#include "ops/activation.h"
#include "ops/add.h"
#include "ops/batch_norm.h"
#include "ops/blocked/training.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/detect_decode.h"
#include "ops/fuse.h"
#include "ops/head_rows.h"
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
  const bool blocked;  // maps are handed to the ops in blocks

  explicit Case(const GoldenCase& c, bool in_blocks = false)
      : golden(c), params(c.info.at("params")), blocked(in_blocks) {
    ops::register_cpu_impls(impls);
  }
  const Tensor& operator[](const std::string& name) const { return golden.tensor(name); }
  Tensor optional(const std::string& name) const {
    const Tensor* t = golden.tensors.find(name);
    return t == nullptr ? Tensor() : *t;
  }
  Tensor in_layout(const Tensor& t, int halo = 0) {
    return blocked && t.rank() == 4 ? ops::blocked::to_blocked(ctx, t, halo) : t;
  }
  Tensor map(const std::string& name, int halo = 0) { return in_layout((*this)[name], halo); }
  // A tensor to write the result `name` into.
  Tensor output(const std::string& name = "y") { return in_layout(Tensor::zeros((*this)[name].shape()), 1); }
  void check(const std::string& name, const Tensor& got, const std::string& by = "") {
    expect_near(by.empty() ? name : name + " by " + by, got, (*this)[name], name);
  }
  // With the tolerance of the tensor `name`.
  void expect_near(const std::string& what, const Tensor& got, const Tensor& want, const std::string& name) {
    expect_close(what, got.is_blocked() ? ops::blocked::to_plain(ctx, got) : got, want,
                 tolerance_from(golden.info.at("tolerance").at(name)));
  }
  // Runs f with every implementation of Op that takes the query.
  template <class Op, class F>
  void for_impls(const typename Op::Query& query, F&& f) {
    int taken = 0;
    for (const ops::Impl<Op>& impl : impls.all<Op>()) {
      if (impl.refuses(query) != nullptr) continue;
      f(impl);
      ++taken;
    }
    expect(taken > 0, "{}: no implementation takes the case", Op::kName);
  }
  // Runs and compares every implementation of Op that takes the input.
  template <class Op, class Run>
  void check_impls(const typename Op::Query& query, Run&& run) {
    for_impls<Op>(query, [&](const auto& impl) {
      Tensor y = output();
      run(impl, y);
      check("y", y, impl.name);
    });
  }
};

using Mode = ops::GradMode;

// Compares the gradient of the input `name` that f(mode, gradient) writes over garbage, and adds to ones.
template <class F>
void check_gradient(Case& c, const std::string& name, const std::string& by, F&& f) {
  const Tensor& want = c[name];
  const auto filled = [&](double value) {
    const Tensor t = Tensor::full(want.shape(), value);
    return name == "g.x" || name == "g.a" ? c.in_layout(t) : t;  // others are vectors and weights
  };
  Tensor g = filled(777);
  f(Mode::kOverwrite, g);
  c.check(name, g, by);
  g = filled(1);
  f(Mode::kAccumulate, g);
  Tensor more = want.clone();
  for (int64_t i = 0; i < more.numel(); ++i) more.data<float>()[i] += 1;
  c.expect_near(name + " added by " + by, g, more, name);
}

// The same for a gradient that several implementations of Op compute.
template <class Op, class F>
void check_gradients(Case& c, const std::string& name, const typename Op::Query& query, F&& f) {
  c.for_impls<Op>(query, [&](const auto& impl) {
    check_gradient(c, name, impl.name, [&](Mode mode, Tensor& g) { f(impl, mode, g); });
  });
}

// Gradients of y = conv(x, weight) + bias at gy.
void check_conv2d_gradients(Case& c, const Tensor& x, const ops::Conv2d& p) {
  const Tensor gy = c.map("gy"), gx = c.map("x"), &weight = c["w"], gw = Tensor::empty(weight.shape());
  check_gradients<ops::Conv2dBackwardInput>(
      c, "g.x", {gy, weight, p, gx},
      [&](const auto& impl, Mode mode, Tensor& g) { impl.run(c.ctx, gy, weight, p, mode, g); });
  Tensor none;
  check_gradients<ops::Conv2dBackwardWeight>(
      c, "g.w", {x, gy, p, gw},
      [&](const auto& impl, Mode mode, Tensor& g) { impl.run(c.ctx, x, gy, p, mode, g, none); });
  if (c.optional("g.b").defined())
    check_gradients<ops::Conv2dBackwardWeight>(c, "g.b", {x, gy, p, gw},
                                               [&](const auto& impl, Mode mode, Tensor& g) {
                                                 Tensor unused = Tensor::zeros(weight.shape());
                                                 impl.run(c.ctx, x, gy, p, mode, unused, g);
                                               });
}

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
  const Tensor x = c.map("x", std::max(p.pad_h, p.pad_w));
  c.check_impls<ops::Conv2dForward>(
      {x, c["w"], p}, [&](const auto& impl, Tensor& y) { impl.run(c.ctx, x, c["w"], bias, p, y); });
  check_conv2d_gradients(c, x, p);
}

ops::BatchNormStats batch_norm_stats(const Case& c, const std::string& prefix) {
  return {c[prefix + "weight"], c[prefix + "bias"], c[prefix + "running_mean"], c[prefix + "running_var"]};
}

ops::BatchNormSaved batch_norm_saved(int64_t channels) {
  return {Tensor::empty({channels}), Tensor::empty({channels})};
}

// Training form: y, the moved running statistics, the gradients. Frozen: the statistics keep their bits.
void run_batch_norm_train(Case& c) {
  const ops::BatchNormTrain p{.eps = c.params.at("eps"),
                              .momentum = c.params.at("momentum"),
                              .frozen = c.golden.info.at("op") == "batchnorm_eval",
                              .activation = {}};
  const Tensor x = c.map("x"), gy = c.map("gy");
  const auto own_stats = [&] {
    ops::BatchNormStats stats = batch_norm_stats(c, "");
    stats.mean = stats.mean.clone(), stats.var = stats.var.clone();
    return stats;
  };
  const ops::BatchNormSaved saved = batch_norm_saved(x.size(1));
  c.check_impls<ops::BatchNormTrainForward>({x, p}, [&](const auto& impl, Tensor& y) {
    const ops::BatchNormStats stats = own_stats();
    impl.run(c.ctx, x, stats, p, saved, y);
    if (!p.frozen) {
      c.check("new_running_mean", stats.mean, impl.name);
      c.check("new_running_var", stats.var, impl.name);
    } else {
      expect(bit_equal(stats.mean, c["running_mean"]) && bit_equal(stats.var, c["running_var"]),
             "{} moved frozen statistics", impl.name);
    }
  });
  const ops::BatchNormStats stats = own_stats();
  const auto run = [&](const auto& impl, Mode mode, Tensor gx, Tensor gw, Tensor gb) {
    impl.run(c.ctx, x, gy, stats, p, saved, {gx, gw, gb, mode, mode});
  };
  using Op = ops::BatchNormTrainBackward;
  check_gradients<Op>(c, "g.x", {x, p},
                      [&](const auto& impl, Mode mode, Tensor& g) { run(impl, mode, g, {}, {}); });
  check_gradients<Op>(c, "g.weight", {x, p},
                      [&](const auto& impl, Mode mode, Tensor& g) { run(impl, mode, {}, g, {}); });
  check_gradients<Op>(c, "g.bias", {x, p},
                      [&](const auto& impl, Mode mode, Tensor& g) { run(impl, mode, {}, {}, g); });
}

void run_batch_norm(Case& c) {
  const ops::BatchNorm p{.eps = c.params.at("eps")};
  const ops::BatchNormStats stats = batch_norm_stats(c, "");
  if (!c.blocked)  // the inference form is folded away where speed matters
    c.check_impls<ops::BatchNormForward>(
        {c["x"]}, [&](const auto& impl, Tensor& y) { impl.run(c.ctx, c["x"], stats, p, y); });
  run_batch_norm_train(c);  // in its frozen form
}

ops::Activation activation_from(const std::string& op, const json& params) {
  for (const auto kind :
       {ops::ActivationKind::kSilu, ops::ActivationKind::kLeakyRelu, ops::ActivationKind::kSigmoid,
        ops::ActivationKind::kRelu, ops::ActivationKind::kHardswish})
    if (ops::name(kind) == op) return {.kind = kind, .slope = params.value("slope", 0.1f)};
  throw GoldenNotBuilt("activation " + op + " is not built");
}

void run_activation(Case& c) {
  const Tensor x = c.map("x"), gy = c.map("gy");
  const ops::Activation p = activation_from(c.golden.info.at("op"), c.params);
  c.check_impls<ops::ActivationForward>({x}, [&](const auto& impl, Tensor& y) { impl.run(c.ctx, x, p, y); });
  check_gradients<ops::ActivationBackward>(
      c, "g.x", {x}, [&](const auto& impl, Mode mode, Tensor& g) { impl.run(c.ctx, x, gy, p, mode, g); });
}

void run_max_pool2d(Case& c) {
  const Tensor x = c.map("x"), gy = c.map("gy");
  const ops::MaxPool2d p{
      .k = c.params.at("kernel"), .stride = c.params.at("stride"), .pad = c.params.at("padding")};
  const Shape shape = ops::max_pool2d_shape(x.shape(), p);
  expect(shape == c["y"].shape(), "max_pool2d_shape is {}, expected {}", shape, c["y"].shape());
  c.check_impls<ops::MaxPool2dForward>({x, p},
                                       [&](const auto& impl, Tensor& y) { impl.run(c.ctx, x, p, y); });
  check_gradients<ops::MaxPool2dBackward>(
      c, "g.x", {x, p}, [&](const auto& impl, Mode mode, Tensor& g) { impl.run(c.ctx, x, gy, p, mode, g); });
}

void run_upsample(Case& c) {
  const Tensor x = c.map("x"), gy = c.map("gy");
  const ops::Upsample p{.scale = c.params.at("scale")};
  c.check_impls<ops::UpsampleForward>({x}, [&](const auto& impl, Tensor& y) { impl.run(c.ctx, x, p, y); });
  check_gradients<ops::UpsampleBackward>(
      c, "g.x", {gy}, [&](const auto& impl, Mode mode, Tensor& g) { impl.run(c.ctx, gy, p, mode, g); });
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
  for (const auto& name : c.golden.info.at("inputs")) inputs.push_back(c.map(name));
  Tensor y = c.output();
  ops::concat_forward(c.ctx, inputs, y);
  c.check("y", y);
  const Tensor gy = c.map("gy");
  int64_t channel = 0;
  for (const std::string name : c.golden.info.at("inputs")) {
    Tensor g = c.in_layout(Tensor::full(c[name].shape(), 777));
    ops::concat_backward(c.ctx, gy, channel, Mode::kOverwrite, g);
    c.check("g." + name, g);
    channel += g.size(1);
  }
}

void run_implicit(Case& c, ops::ImplicitKind kind) {
  const Tensor a = c.map("a"), gy = c.map("gy");
  Tensor y = c.output();
  ops::scale_shift_forward(c.ctx, a, c["b"], {kind}, y);
  c.check("y", y);
  Tensor none, gb = Tensor::zeros(c["b"].shape());
  ops::scale_shift_backward(c.ctx, a, c["b"], gy, {kind}, Mode::kOverwrite, none, gb);
  c.check("g.b", gb);
  check_gradient(c, "g.a", "cpu", [&](Mode mode, Tensor& g) {
    ops::scale_shift_backward(c.ctx, a, c["b"], gy, {kind}, mode, g, none);
  });
}

bool is_per_channel(const Tensor& b, const Tensor& a) {
  return a.rank() == 4 && b.shape() == Shape({1, a.size(1), 1, 1});
}

void run_add(Case& c) {
  if (is_per_channel(c["b"], c["a"]) && c["b"].shape() != c["a"].shape())
    return run_implicit(c, ops::ImplicitKind::kAdd);
  Tensor y = c.output();
  ops::add_forward(c.ctx, c.map("a"), c.map("b"), y);
  c.check("y", y);
  for (const char* name : {"g.a", "g.b"}) c.check(name, c["gy"]);
}

void run_mul(Case& c) {
  if (!is_per_channel(c["b"], c["a"])) throw GoldenNotBuilt("mul of two maps is not built");
  run_implicit(c, ops::ImplicitKind::kMul);
}

void run_space_to_depth(Case& c) {
  Tensor y = c.output();
  ops::space_to_depth_forward(c.ctx, c.map("x"), y);
  c.check("y", y);
  check_gradient(c, "g.x", "cpu",
                 [&](Mode mode, Tensor& g) { ops::space_to_depth_backward(c.ctx, c.map("gy"), mode, g); });
}

void run_permute(Case& c) {
  if (!c.params.contains("anchors")) throw GoldenNotBuilt("no module permutes other than the head");
  Tensor y = c.output();
  ops::head_rows_forward(c.ctx, c.map("x"), c.params.at("anchors"), y);
  c.check("y", y);
  check_gradient(c, "g.x", "cpu",
                 [&](Mode mode, Tensor& g) { ops::head_rows_backward(c.ctx, c["gy"], mode, g); });
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

const std::map<std::string, std::function<void(Case&)>> kOps{
    {"conv2d", run_conv2d},
    {"batchnorm_eval", run_batch_norm},
    {"batchnorm_train", run_batch_norm_train},
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
    {"permute", run_permute},
    {"detect_decode", run_detect_decode},
    {"fuse_conv_bn", run_fuse_conv_bn},
    {"fuse_repconv", run_fuse_repconv},
    {"fuse_implicit", run_fuse_implicit},
    {"implicit_head", [](Case& c) { run_implicit_head_case(c.golden); }},
    {"repconv_train", [](Case& c) { run_repconv_train_case(c.golden); }},
};

}  // namespace

void run_ops_case(const GoldenCase& c) {
  if (run_loss_ops_case(c)) return;
  const std::string op = c.info.at("op");
  const auto run = kOps.find(op);
  if (run == kOps.end()) throw GoldenNotBuilt("op " + op + " is not built: no module uses it");
  Case plain(c);
  run->second(plain);
  constexpr const char* kPlainOnly[] = {"detect_decode", "interpolate_bilinear", "fuse_conv_bn",
                                        "fuse_repconv",  "fuse_implicit",        "implicit_head",
                                        "repconv_train"};
  if (std::count(std::begin(kPlainOnly), std::end(kPlainOnly), op) > 0) return;
  if (c.tensors.contains("x") && c.tensor("x").rank() != 4) return;
  Case blocked(c, true);
  run->second(blocked);
}

}  // namespace mtyolo::test

#include "models/graph_builder.h"

namespace mtyolo::models {

bool fused_form_has_tensor(const std::string& name) {
  const bool unfused =
      name.find(".bn.") != std::string::npos || name.find(".rbr_dense.") != std::string::npos ||
      name.find(".rbr_1x1.") != std::string::npos || name.find(".rbr_identity.") != std::string::npos;
  return !unfused;
}

void GraphBuilder::fail_row(const std::string& message, const std::string& suggestion) const {
  std::string where;
  if (row_ != nullptr) where = fmt::format("row {} ({})", row_->index, quoted(row_->module));
  if (row_ != nullptr && row_->line > 0) where = fmt::format("line {}, {}", row_->line, where);
  throw Error({ExitCode::kUsage, "config", message, cfg_.source, where, suggestion});
}

int GraphBuilder::add_node(const std::string& scope, OpAttrs attrs, std::vector<int> inputs, int channels,
                           std::vector<std::string> params) {
  if (graph_.nodes.size() >= kMaxNodes)
    fail_row(fmt::format("the network has more than {} operations", kMaxNodes));
  GraphNode node;
  node.id = int(graph_.nodes.size());
  node.attrs = std::move(attrs);
  node.inputs = std::move(inputs);
  node.params = std::move(params);
  node.channels = channels;
  node.scope = scope;
  node.row = row_ != nullptr ? row_->index : -1;
  node.line = row_ != nullptr ? row_->line : 0;
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().id;
}

void GraphBuilder::declare(const std::string& name, const Shape& shape, ParamInfo::Kind kind) {
  const auto [it, fresh] = declared_.emplace(name, graph_.params.size());
  if (!fresh) {
    MTYOLO_CHECK(graph_.params[it->second].shape == shape, "{} is declared as {} and {}", name,
                 graph_.params[it->second].shape, shape);
    return;
  }
  elements_ += shape.numel();
  if (elements_ > kMaxParameters)
    fail_row(fmt::format("the network has more than {} parameters", kMaxParameters),
             "use fewer channels or rows");
  graph_.params.push_back({name, shape, kind});
}

void GraphBuilder::declare_conv2d(const std::string& scope, int c1, int c2, const ops::Conv2d& p, bool bias) {
  if (c2 < 1 || c2 > kMaxOutputs)
    fail_row(fmt::format("{} output channels, expected 1..{}", c2, kMaxOutputs));
  if (p.groups < 1 || c1 % p.groups != 0 || c2 % p.groups != 0)
    fail_row(fmt::format("{} groups do not divide {} input and {} output channels", p.groups, c1, c2));
  declare(scope + ".weight", {c2, c1 / p.groups, p.kernel_h, p.kernel_w}, ParamInfo::Kind::kConvWeight);
  if (bias) declare(scope + ".bias", {c2}, ParamInfo::Kind::kConvBias);
}

void GraphBuilder::declare_batch_norm(const std::string& scope, int channels) {
  using Kind = ParamInfo::Kind;
  declare(scope + ".weight", {channels}, Kind::kBnWeight);
  declare(scope + ".bias", {channels}, Kind::kBnBias);
  declare(scope + ".running_mean", {channels}, Kind::kBnMean);
  declare(scope + ".running_var", {channels}, Kind::kBnVar);
  declare(scope + ".num_batches_tracked", {}, Kind::kBnCount);
}

const ParamInfo* GraphBuilder::find_param(const std::string& name) const {
  const auto it = declared_.find(name);
  return it == declared_.end() ? nullptr : &graph_.params[it->second];
}

bool GraphBuilder::is_fused(const std::string& scope) {
  const bool fused = has_tensor(scope + ".conv.bias") && !has_tensor(scope + ".bn.weight");
  any_fused_ |= fused;
  return fused;
}

int GraphBuilder::input() { return add_node("input", Input{cfg_.channels}, {}, cfg_.channels); }

int GraphBuilder::conv2d(const std::string& scope, int x, int c2, const ops::Conv2d& p, bool bias) {
  declare_conv2d(scope, channels(x), c2, p, bias);
  std::vector<std::string> params{scope + ".weight"};
  if (bias) params.push_back(scope + ".bias");
  return add_node(scope, p, {x}, c2, std::move(params));
}

int GraphBuilder::batch_norm(const std::string& scope, int x) {
  declare_batch_norm(scope, channels(x));
  return add_node(scope, ops::BatchNorm{options_.bn_eps}, {x}, channels(x),
                  {scope + ".weight", scope + ".bias", scope + ".running_mean", scope + ".running_var"});
}

int GraphBuilder::activation(const std::string& scope, int x, const ops::Activation& p) {
  if (p.kind == ops::ActivationKind::kIdentity) return x;
  return add_node(scope, p, {x}, channels(x));
}

int GraphBuilder::max_pool(const std::string& scope, int x, int k, int stride, int pad) {
  return add_node(scope, ops::MaxPool2d{k, stride, pad}, {x}, channels(x));
}

int GraphBuilder::upsample(const std::string& scope, int x, int scale) {
  return add_node(scope, ops::Upsample{scale}, {x}, channels(x));
}

int GraphBuilder::space_to_depth(const std::string& scope, int x) {
  if (channels(x) > kMaxConcatChannels / 4)
    fail_row(fmt::format("4 x {} channels are too many", channels(x)));
  return add_node(scope, ops::SpaceToDepth{}, {x}, 4 * channels(x));
}

int GraphBuilder::concat(const std::string& scope, const std::vector<int>& inputs) {
  int64_t sum = 0;
  for (const int x : inputs) sum += channels(x);
  if (sum > kMaxConcatChannels)
    fail_row(fmt::format("{} channels side by side, expected at most {}", sum, kMaxConcatChannels));
  return add_node(scope, ops::Concat{}, inputs, int(sum));
}

int GraphBuilder::add(const std::string& scope, int a, int b) {
  if (channels(a) != channels(b)) fail_row(fmt::format("adds {} channels to {}", channels(b), channels(a)));
  return add_node(scope, ops::Add{}, {a, b}, channels(a));
}

int GraphBuilder::implicit(const std::string& scope, int x, ops::ImplicitKind kind) {
  const auto param =
      kind == ops::ImplicitKind::kAdd ? ParamInfo::Kind::kImplicitAdd : ParamInfo::Kind::kImplicitMul;
  declare(scope + ".implicit", {1, channels(x), 1, 1}, param);
  return add_node(scope, ops::ScaleShift{kind}, {x}, channels(x), {scope + ".implicit"});
}

int GraphBuilder::cross_stitch(const std::string& scope, const std::vector<int>& inputs, int own) {
  const int c = channels(inputs[size_t(own)]);
  for (const int x : inputs)
    if (channels(x) != c) fail_row(fmt::format("mixes {} channels with {}", channels(x), c));
  declare(scope + ".weight", {int64_t(inputs.size()), c}, ParamInfo::Kind::kCrossStitch);
  return add_node(scope, ops::CrossStitch{}, inputs, c, {scope + ".weight"});
}

int GraphBuilder::detect_decode(const std::string& scope, int raw, const ops::DetectDecode& p) {
  return add_node(scope, p, {raw}, channels(raw) / p.anchor_count());
}

}  // namespace mtyolo::models

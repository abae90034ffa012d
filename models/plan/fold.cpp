#include "models/plan/fold.h"

#include <algorithm>
#include <set>

namespace mtyolo::models {
namespace {

template <class T>
const T* as(const GraphNode& node) {
  return std::get_if<T>(&node.attrs);
}

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.nodes.size(), 0);
  for (const GraphNode& node : graph.nodes)
    for (int input : node.inputs) ++uses[size_t(input)];
  for (const Head& head : graph.heads)
    for (const auto* outputs : {&head.raw, &head.aux_raw})
      for (int id : *outputs) ++uses[size_t(id)];
  return uses;
}

// "model.24.conv.weight" -> "model.24.conv.bias"
std::string bias_name(const std::string& weight) { return weight.substr(0, weight.rfind('.') + 1) + "bias"; }

// Rewrites one graph node after another; remembers what each old value became.
class Folder {
 public:
  explicit Folder(const Graph& graph) : in_(graph), uses_(count_uses(graph)) {
    out_.graph = graph;
    out_.graph.nodes.clear();
    out_.graph.params.clear();
    out_.graph.couplings.clear();
  }

  FoldedGraph run() {
    for (const GraphNode& node : in_.nodes) became_.push_back(fold(node));
    for (Head& head : out_.graph.heads) {
      for (auto* ids : {&head.raw, &head.decode})
        for (int& id : *ids) id = became_[size_t(id)];
      head.aux_raw.clear();
    }
    for (RowInfo& row : out_.graph.rows)
      if (row.output >= 0) row.output = became_[size_t(row.output)];
    return finish();
  }

 private:
  const GraphNode& old(int id) const { return in_.nodes[size_t(id)]; }
  bool only_user(int id) const { return uses_[size_t(id)] == 1; }

  int fold(const GraphNode& node) {
    if (as<ops::Conv2d>(node)) return fold_conv(node);
    if (as<ops::BatchNorm>(node)) return fold_batch_norm(node);
    if (as<ops::Add>(node)) return fold_add(node);
    if (const auto* s = as<ops::ScaleShift>(node)) return fold_scale_shift(node, *s);
    return copy(node);
  }

  int copy(const GraphNode& node) {
    GraphNode fresh = node;
    fresh.id = int(out_.graph.nodes.size());
    for (int& input : fresh.inputs) input = became_[size_t(input)];
    out_.graph.nodes.push_back(fresh);
    return fresh.id;
  }

  int fold_conv(const GraphNode& node) {
    FoldRecipe recipe;
    const auto& p = std::get<ops::Conv2d>(node.attrs);
    recipe.branches.push_back({node.params[0], node.params.size() > 1 ? node.params[1] : "", {}, p.kernel_h});
    const int id = copy(node);
    const GraphNode& input = old(node.inputs[0]);
    const auto* shift = as<ops::ScaleShift>(input);
    if (shift != nullptr && shift->kind == ops::ImplicitKind::kAdd && p.pad_h == 0 && p.pad_w == 0) {
      recipe.implicit_add = input.params[0];
      out_.graph.nodes[size_t(id)].inputs[0] = became_[size_t(input.inputs[0])];
    }
    out_.graph.nodes[size_t(id)].params = {node.params[0], bias_name(node.params[0])};
    out_.recipes[id] = recipe;
    return id;
  }

  // The folded convolution that `value` (an old id) became, if nothing else uses it.
  FoldRecipe* foldable_conv(int value) {
    if (!only_user(value)) return nullptr;
    const auto it = out_.recipes.find(became_[size_t(value)]);
    return it == out_.recipes.end() ? nullptr : &it->second;
  }

  int fold_batch_norm(const GraphNode& node) {
    FoldRecipe* recipe = as<ops::Conv2d>(old(node.inputs[0])) ? foldable_conv(node.inputs[0]) : nullptr;
    if (recipe == nullptr) return copy(node);
    recipe->branches[0].bn = node.params;
    recipe->bn_eps = std::get<ops::BatchNorm>(node.attrs).eps;
    return became_[size_t(node.inputs[0])];
  }

  int fold_scale_shift(const GraphNode& node, const ops::ScaleShift& s) {
    if (s.kind == ops::ImplicitKind::kAdd) return copy(node);  // dead once its convolution has taken it
    FoldRecipe* recipe = as<ops::Conv2d>(old(node.inputs[0])) ? foldable_conv(node.inputs[0]) : nullptr;
    if (recipe == nullptr) return copy(node);
    recipe->implicit_mul = node.params[0];
    return became_[size_t(node.inputs[0])];
  }

  // The summands of nested sums, left to right.
  void collect_summands(int value, std::vector<int>& leaves) const {
    const GraphNode& node = old(value);
    if (!as<ops::Add>(node)) {
      leaves.push_back(value);
      return;
    }
    for (int input : node.inputs) collect_summands(input, leaves);
  }

  // RepConv: the sum of batch norms of a 3x3 convolution, a 1x1 convolution and maybe the input itself.
  int fold_add(const GraphNode& node) {
    std::vector<int> leaves;
    for (int input : node.inputs) collect_summands(input, leaves);
    FoldRecipe recipe;
    int dense = -1, source = -1;
    for (int leaf : leaves) {
      const GraphNode& bn = old(leaf);
      if (!as<ops::BatchNorm>(bn)) return copy(node);
      const GraphNode& below = old(bn.inputs[0]);
      const auto* conv = as<ops::Conv2d>(below);
      const bool has_kernel = conv != nullptr && below.params.size() == 1;
      const int from = has_kernel ? below.inputs[0] : bn.inputs[0];
      if (source >= 0 && from != source) return copy(node);
      source = from;
      recipe.bn_eps = std::get<ops::BatchNorm>(bn.attrs).eps;
      recipe.branches.push_back(
          {has_kernel ? below.params[0] : "", "", bn.params, has_kernel ? conv->kernel_h : 0});
      if (has_kernel && conv->kernel_h == 3) dense = below.id;
    }
    if (dense < 0 || leaves.size() < 2 || leaves.size() > 3) return copy(node);
    GraphNode conv = old(dense);
    const std::string& weight = old(dense).params[0];
    const std::string prefix = weight.substr(0, weight.find("rbr_dense")) + "rbr_reparam.";
    conv.params = {prefix + "weight", prefix + "bias"};
    const int id = copy(conv);
    out_.recipes[id] = recipe;
    return id;
  }

  FoldedGraph finish() {
    FoldedGraph result;
    std::vector<int> kept;
    result.graph = drop_dead_nodes(out_.graph, &kept);
    for (const auto& [id, recipe] : out_.recipes)
      if (kept[size_t(id)] >= 0) result.recipes[kept[size_t(id)]] = recipe;
    return result;
  }

  const Graph& in_;
  std::vector<int> uses_;
  std::vector<int> became_;
  FoldedGraph out_;
};

const Tensor& require(const StateDict& weights, const std::string& name) {
  const Tensor* t = weights.find(name);
  if (t == nullptr) fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(name));
  return *t;
}

Tensor optional_tensor(const StateDict& weights, const std::string& name) {
  return name.empty() ? Tensor() : require(weights, name);
}

ops::BatchNormStats bn_stats(const StateDict& weights, const std::vector<std::string>& names) {
  return {require(weights, names[0]), require(weights, names[1]), require(weights, names[2]),
          require(weights, names[3])};
}

ops::ConvWeights rep_conv_weights(const FoldRecipe& recipe, int groups, const StateDict& weights,
                                  const ops::FuseInto& into) {
  ops::RepConvWeights rep;
  for (const FoldRecipe::Branch& b : recipe.branches) {
    const ops::BatchNormStats bn = bn_stats(weights, b.bn);
    if (b.weight.empty()) rep.identity = bn;
    else if (b.kernel == 3) rep.dense = require(weights, b.weight), rep.dense_bn = bn;
    else rep.one = require(weights, b.weight), rep.one_bn = bn;
  }
  return ops::fuse_repconv(rep, recipe.bn_eps, groups, into);
}

}  // namespace

FoldedGraph fold_graph(const Graph& graph) { return Folder(graph).run(); }

ops::ConvWeights folded_weights(const FoldRecipe& recipe, const ops::Conv2d& params, const StateDict& weights,
                                const ops::FuseInto& into) {
  if (recipe.branches.size() > 1) return rep_conv_weights(recipe, params.groups, weights, into);
  const FoldRecipe::Branch& b = recipe.branches[0];
  ops::ConvWeights conv{require(weights, b.weight), optional_tensor(weights, b.bias)};
  if (!b.bn.empty()) conv = ops::fuse_conv_bn(conv, bn_stats(weights, b.bn), recipe.bn_eps, into);
  if (!recipe.implicit_add.empty() || !recipe.implicit_mul.empty() || conv.weight.dtype() != DType::kF32)
    conv = ops::fuse_implicit(conv, optional_tensor(weights, recipe.implicit_add),
                              optional_tensor(weights, recipe.implicit_mul), params.groups, into);
  if (!conv.bias.defined()) conv.bias = Tensor::zeros({conv.weight.size(0)});
  conv.bias = conv.bias.to(DType::kF32);
  return conv;
}

Graph chain_pools(const Graph& graph) {
  Graph out = graph;
  for (GraphNode& node : out.nodes) {
    auto* pool = std::get_if<ops::MaxPool2d>(&node.attrs);
    if (pool == nullptr || pool->stride != 1 || pool->pad != pool->k / 2) continue;
    // The largest smaller pool of the same value in the unchanged graph.
    const GraphNode* best = nullptr;
    for (int id = 0; id < node.id; ++id) {
      const GraphNode& other = graph.nodes[size_t(id)];
      const auto* q = as<ops::MaxPool2d>(other);
      if (q == nullptr || other.inputs != graph.nodes[size_t(node.id)].inputs || q->stride != 1 ||
          q->pad != q->k / 2 || q->k >= pool->k || (pool->k - q->k) % 2 != 0)
        continue;
      if (best == nullptr || q->k > std::get<ops::MaxPool2d>(best->attrs).k) best = &other;
    }
    if (best == nullptr) continue;
    const int k = pool->k - std::get<ops::MaxPool2d>(best->attrs).k + 1;
    node.inputs = {best->id};
    *pool = {k, 1, k / 2};
  }
  return out;
}

Graph drop_dead_nodes(const Graph& graph, std::vector<int>* kept) {
  std::vector<bool> live(graph.nodes.size(), false);
  for (const Head& head : graph.heads)
    for (const auto* outputs : {&head.raw, &head.decode, &head.aux_raw})
      for (int id : *outputs) live[size_t(id)] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (std::holds_alternative<Input>(graph.nodes[i].attrs)) live[i] = true;
    if (live[i])
      for (int input : graph.nodes[i].inputs) live[size_t(input)] = true;
  }
  Graph out = graph;
  out.nodes.clear();
  std::vector<int> map(graph.nodes.size(), -1);
  for (const GraphNode& node : graph.nodes) {
    if (!live[size_t(node.id)]) continue;
    GraphNode fresh = node;
    fresh.id = map[size_t(node.id)] = int(out.nodes.size());
    for (int& input : fresh.inputs) input = map[size_t(input)];
    out.nodes.push_back(std::move(fresh));
  }
  for (Head& head : out.heads)
    for (auto* outputs : {&head.raw, &head.decode, &head.aux_raw})
      for (int& id : *outputs) id = map[size_t(id)];
  for (RowInfo& row : out.rows)
    if (row.output >= 0) row.output = map[size_t(row.output)];
  if (kept != nullptr) *kept = map;
  return out;
}

}  // namespace mtyolo::models

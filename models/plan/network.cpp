#include "models/plan/network.h"

#include <algorithm>
#include <vector>

#include "core/profile.h"
#include "ops/blocked/round_weight.h"

namespace mtyolo::models {
namespace {

using ops::blocked::Element;

// In place where it is ours.
Tensor rounded(Context& ctx, const Tensor& weight, const ops::FuseInto& into) {
  const Tensor own = weight.raw() == into.memory.raw() ? weight : weight.to(DType::kF32).clone();
  ops::blocked::round_keeping_sums(ctx, own);
  return own;
}

}  // namespace

std::set<int> image_values(const Graph& graph) {
  std::set<int> image;
  for (const GraphNode& node : graph.nodes) {
    const bool reads =
        std::any_of(node.inputs.begin(), node.inputs.end(), [&](int input) { return image.contains(input); });
    if (std::holds_alternative<Input>(node.attrs) ||
        (reads && std::holds_alternative<ops::SpaceToDepth>(node.attrs)))
      image.insert(node.id);
    else if (reads && !std::holds_alternative<ops::Conv2d>(node.attrs)) return {};
  }
  return image;
}

std::shared_ptr<const Network> Network::build(Context& ctx, const Graph& graph, const StateDict& weights,
                                              bool allow_winograd, Element type) {
  const profile::Scope scope("pack weights");
  FoldedGraph folded = fold_graph(graph);
  auto network = std::make_shared<Network>();
  network->graph_ = chain_pools(folded.graph);
  network->type_ = type;
  network->image_ = image_values(network->graph_);

  // One after the other, each on all threads, the largest first: all are folded in the same memory, which
  // stays in the caches and shrinks while the packed weights and the pages of the file grow.
  std::vector<std::pair<int64_t, int>> order;  // most weights of a branch, node
  for (const auto& [id, recipe] : folded.recipes) {
    int64_t count = 0;
    for (const FoldRecipe::Branch& branch : recipe.branches)
      if (const Tensor* weight = weights.find(branch.weight)) count = std::max(count, weight->numel());
    order.emplace_back(count, id);
  }
  std::sort(order.rbegin(), order.rend());
  ops::FuseInto into{{}, &ctx.pool()};
  for (const auto& [count, id] : order) {
    if (!into.memory.defined() || count < into.memory.numel() / 2) {
      into.memory = {};
      host_allocator()->release_cached();
      into.memory = Tensor::empty({count});
    }
    const FoldRecipe& recipe = folded.recipes.at(id);
    const GraphNode& node = network->graph_.nodes[size_t(id)];
    const auto& params = std::get<ops::Conv2d>(node.attrs);
    const Element factors = network->is_image(node.inputs[0]) ? Element::kF32 : type;
    const ops::ConvWeights w = folded_weights(recipe, params, weights, into);
    ConvStep& step = network->convs_[id];
    const int in = int(w.weight.size(1)) * params.groups, out = int(w.weight.size(0));
    if (allow_winograd && ops::blocked::winograd_refuses(params, in, out, factors) == nullptr)
      step.winograd = std::make_shared<ops::blocked::WinogradConv>(ctx, w.weight, w.bias,
                                                                   ops::blocked::winograd_form(in, out));
    else if (allow_winograd && ops::blocked::strassen_refuses(params, in, out, factors) == nullptr)
      step.strassen = std::make_shared<ops::blocked::StrassenConv>(ctx, w.weight, w.bias);
    else
      step.direct = std::make_shared<ops::blocked::PackedConv>(
          ctx, factors == Element::kBF16 ? rounded(ctx, w.weight, into) : w.weight, w.bias, params,
          ops::blocked::kernels(), factors);
  }
  for (const GraphNode& node : network->graph_.nodes) {
    if (!std::holds_alternative<ops::CrossStitch>(node.attrs)) continue;
    const Tensor* weight = weights.find(node.params[0]);
    if (weight == nullptr)
      fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(node.params[0]));
    network->cross_stitches_[node.id] = ops::blocked::pack_cross_stitch(weight->to(DType::kF32));
  }
  into = {};
  host_allocator()->release_cached();  // folded weights on their way to the packed ones
  Epilogues epilogues = merge_epilogues(network->graph_);
  for (auto& [id, step] : network->convs_) step.epilogue = epilogues.of_conv.at(id);
  network->value_of_ = std::move(epilogues.value_of);
  return network;
}

size_t Network::weight_bytes() const {
  size_t bytes = 0;
  for (const auto& [id, step] : convs_)
    bytes += step.winograd   ? step.winograd->size_bytes()
             : step.strassen ? step.strassen->size_bytes()
                             : step.direct->size_bytes();
  for (const auto& [id, weight] : cross_stitches_) bytes += weight.size_bytes();
  return bytes;
}

}  // namespace mtyolo::models

#include "models/plan/network.h"

#include <algorithm>

#include "core/profile.h"

namespace mtyolo::models {

std::shared_ptr<const Network> Network::build(Context& ctx, const Graph& graph, const StateDict& weights,
                                              bool allow_winograd) {
  const profile::Scope scope("pack weights");
  FoldedGraph folded = fold_graph(graph);
  auto network = std::make_shared<Network>();
  network->graph_ = chain_pools(folded.graph);

  // Largest first, so that the threads finish together.
  std::vector<std::pair<int64_t, int>> order;
  for (const auto& [id, recipe] : folded.recipes) {
    network->convs_[id] = {};
    const Tensor* weight = weights.find(recipe.branches[0].weight);
    order.emplace_back(weight != nullptr ? -weight->numel() : 0, id);
  }
  std::sort(order.begin(), order.end());
  ctx.pool().parallel_for(int64_t(order.size()), [&](int64_t i) {
    const int id = order[size_t(i)].second;
    const auto& params = std::get<ops::Conv2d>(network->graph_.nodes[size_t(id)].attrs);
    const ops::ConvWeights w = folded_weights(folded.recipes.at(id), params, weights);
    ConvStep& step = network->convs_.at(id);
    const int in = int(w.weight.size(1)) * params.groups, out = int(w.weight.size(0));
    if (allow_winograd && ops::blocked::winograd_refuses(params, in, out) == nullptr)
      step.winograd = std::make_shared<ops::blocked::WinogradConv>(ctx, w.weight, w.bias,
                                                                   ops::blocked::winograd_form(in, out));
    else step.direct = std::make_shared<ops::blocked::PackedConv>(ctx, w.weight, w.bias, params);
  });
  for (const GraphNode& node : network->graph_.nodes) {
    if (!std::holds_alternative<ops::CrossStitch>(node.attrs)) continue;
    const Tensor* weight = weights.find(node.params[0]);
    if (weight == nullptr)
      fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(node.params[0]));
    network->cross_stitches_[node.id] = ops::blocked::pack_cross_stitch(weight->to(DType::kF32));
  }
  host_allocator()->release_cached();  // folded weights on their way to the packed ones
  Epilogues epilogues = merge_epilogues(network->graph_);
  for (auto& [id, step] : network->convs_) step.epilogue = epilogues.of_conv.at(id);
  network->value_of_ = std::move(epilogues.value_of);
  return network;
}

size_t Network::weight_bytes() const {
  size_t bytes = 0;
  for (const auto& [id, step] : convs_)
    bytes += step.winograd ? step.winograd->size_bytes() : step.direct->size_bytes();
  for (const auto& [id, weight] : cross_stitches_) bytes += weight.size_bytes();
  return bytes;
}

}  // namespace mtyolo::models

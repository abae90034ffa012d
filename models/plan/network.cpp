#include "models/plan/network.h"

#include <algorithm>
#include <vector>

#include "core/profile.h"
#include "ops/blocked/round_weight.h"

namespace mtyolo::models {
namespace {

using ops::blocked::Element;
using ops::blocked::PackedConv;
using ops::blocked::PackedTensors;
using ops::blocked::StrassenConv;
using ops::blocked::WinogradConv;

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

ConvForm conv_form(const ops::Conv2d& params, int in_channels, int out_channels, Element type) {
  if (ops::blocked::winograd_refuses(params, in_channels, out_channels, type) == nullptr)
    return ConvForm::kWinograd;
  if (ops::blocked::strassen_refuses(params, in_channels, out_channels, type) == nullptr)
    return ConvForm::kStrassen;
  return ConvForm::kDirect;
}

bool plan_has(const std::string& forced) {
  return forced.empty() || forced == "cpu.winograd" || forced == "cpu.strassen" || forced == "cpu.igemm";
}

Network::Packing Network::packing_of(int node, bool allow_fast_forms) const {
  const GraphNode& conv = graph_.nodes[size_t(node)];
  const auto& params = std::get<ops::Conv2d>(conv.attrs);
  const int input = conv.inputs[0], in = graph_.nodes[size_t(input)].channels, out = conv.channels;
  const Element factors = is_image(input) ? Element::kF32 : type_;
  return {params, in, out, factors,
          allow_fast_forms ? conv_form(params, in, out, factors) : ConvForm::kDirect};
}

// One after the other, each on all threads, the largest first: all are folded in the same memory, which stays
// in the caches and shrinks while the packed weights grow. Pages of the file that the tensors view, if given,
// leave the process once they were read.
void Network::pack(Context& ctx, const FoldedGraph& folded, const StateDict& weights, bool allow_fast_forms,
                   const FileInState& mapped) {
  constexpr int64_t kLarge = 1 << 20;          // weights
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
    if (mapped.file && count >= kLarge) mapped.file->release_pages();
    if (!into.memory.defined() || count < into.memory.numel() / 2) {
      into.memory = {};
      host_allocator()->release_cached();
      into.memory = Tensor::empty({count});
    }
    const Packing p = packing_of(id, allow_fast_forms);
    const ops::ConvWeights w = folded_weights(folded.recipes.at(id), p.params, weights, into);
    ConvStep& step = convs_[id];
    if (p.form == ConvForm::kWinograd)
      step.winograd = std::make_shared<WinogradConv>(
          ctx, w.weight, w.bias, ops::blocked::winograd_form(p.in, p.out, p.params.stride_h));
    else if (p.form == ConvForm::kStrassen)
      step.strassen = std::make_shared<StrassenConv>(ctx, w.weight, w.bias);
    else
      step.direct = std::make_shared<PackedConv>(
          ctx, p.factors == Element::kBF16 ? rounded(ctx, w.weight, into) : w.weight, w.bias, p.params,
          ops::blocked::kernels(), p.factors);
  }
  into = {};
  host_allocator()->release_cached();  // folded weights on their way to the packed ones
}

StateDict Network::packed() const {
  StateDict tensors;
  for (const auto& [id, step] : convs_) {
    const PackedTensors& t = step.packed();
    tensors.add(fmt::format("{}.weight", id), t.weights);
    tensors.add(fmt::format("{}.bias", id), t.bias);
  }
  return tensors;
}

void Network::adopt(const StateDict& packed, bool allow_fast_forms) {
  for (const GraphNode& node : graph_.nodes) {
    if (!std::holds_alternative<ops::Conv2d>(node.attrs)) continue;
    const Tensor* weight = packed.find(fmt::format("{}.weight", node.id));
    const Tensor* bias = packed.find(fmt::format("{}.bias", node.id));
    MTYOLO_CHECK(weight != nullptr && bias != nullptr, "no packed weights for node {}", node.id);
    const Packing p = packing_of(node.id, allow_fast_forms);
    const PackedTensors kept{*weight, *bias};
    ConvStep& step = convs_[node.id];
    if (p.form == ConvForm::kWinograd)
      step.winograd = std::make_shared<WinogradConv>(
          kept, p.in, p.out, ops::blocked::winograd_form(p.in, p.out, p.params.stride_h));
    else if (p.form == ConvForm::kStrassen) step.strassen = std::make_shared<StrassenConv>(kept, p.in, p.out);
    else
      step.direct =
          std::make_shared<PackedConv>(kept, p.in, p.out, p.params, ops::blocked::kernels(), p.factors);
  }
}

std::shared_ptr<const Network> Network::build(Context& ctx, const Graph& graph, const StateDict& weights,
                                              bool allow_fast_forms, Element type, const PackedPlace& place) {
  const profile::Scope scope("pack weights");
  FoldedGraph folded = fold_graph(graph);
  auto network = std::make_shared<Network>();
  network->graph_ = chain_pools(folded.graph);
  network->type_ = type;
  network->image_ = image_values(network->graph_);
  if (!place.folder) network->pack(ctx, folded, weights, allow_fast_forms, place.weights);
  else {
    const PackedWeights file(ctx, place.folder,
                             packed_key(ctx, folded, weights, allow_fast_forms, type, place.weights));
    if (!file.tensors().empty()) network->adopt(file.tensors(), allow_fast_forms);
    else {
      network->pack(ctx, folded, weights, allow_fast_forms, place.weights);
      file.keep(ctx, network->packed());
    }
  }
  for (const GraphNode& node : network->graph_.nodes) {
    if (!std::holds_alternative<ops::CrossStitch>(node.attrs)) continue;
    const Tensor* weight = weights.find(node.params[0]);
    if (weight == nullptr)
      fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(node.params[0]));
    network->cross_stitches_[node.id] = ops::blocked::pack_cross_stitch(weight->to(DType::kF32));
  }
  Epilogues epilogues = merge_epilogues(network->graph_);
  for (auto& [id, step] : network->convs_) step.epilogue = epilogues.of_conv.at(id);
  network->value_of_ = std::move(epilogues.value_of);
  return network;
}

size_t Network::weight_bytes() const {
  size_t bytes = 0;
  for (const auto& [id, step] : convs_) bytes += step.packed().size_bytes();
  for (const auto& [id, weight] : cross_stitches_) bytes += weight.size_bytes();
  return bytes;
}

}  // namespace mtyolo::models

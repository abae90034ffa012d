#include <algorithm>

#include "models/plan/plan_compiler.h"

namespace mtyolo::models {
namespace {

using ops::blocked::kBlock;
using ops::blocked::kStemPixel;

// A map with few channels takes 4 floats per pixel when only operations that understand it read it.
bool fits_stem_pixel(const Network& network, const GraphNode& input) {
  if (input.channels > kStemPixel) return false;
  for (const GraphNode& node : network.graph().nodes) {
    const bool reads = std::find(node.inputs.begin(), node.inputs.end(), input.id) != node.inputs.end();
    if (reads && !std::holds_alternative<ops::Conv2d>(node.attrs) &&
        !std::holds_alternative<ops::SpaceToDepth>(node.attrs))
      return false;
  }
  return true;
}

// Logits are not rounded: a convolution's output stays f32 where only decoding reads it.
bool only_decoded(const Network& network, const GraphNode& conv) {
  if (!std::holds_alternative<ops::Conv2d>(conv.attrs) || network.conv(conv.id).epilogue.residual)
    return false;
  for (const GraphNode& node : network.graph().nodes)
    for (const int input : node.inputs)
      if (network.value_of(input) == conv.id && network.value_of(node.id) != conv.id &&
          !std::holds_alternative<ops::DetectDecode>(node.attrs))
        return false;
  return true;
}

}  // namespace

PlanLayout::PlanLayout(const Network& network, const std::vector<Shape>& shapes)
    : places_(network.graph(), network.values(), kBlock, false) {
  const Graph& graph = network.graph();
  values_.resize(graph.nodes.size());
  for (const GraphNode& node : graph.nodes) {
    const Shape& s = shapes[size_t(node.id)];
    if (std::holds_alternative<ops::DetectDecode>(node.attrs) || network.value_of(node.id) != node.id)
      continue;
    PlanValue& v = values_[size_t(node.id)];
    v.stored = true;
    if (!network.is_image(node.id) && !only_decoded(network, node)) v.type = network.type();
    v.channels = int(s[1]), v.h = int(s[2]), v.w = int(s[3]);
    if (std::holds_alternative<Input>(node.attrs) && fits_stem_pixel(network, node)) v.pixel = kStemPixel;
  }
  grow_halos(network);
}

// The halo of a buffer is the largest padding of the convolutions that read any part of it.
void PlanLayout::grow_halos(const Network& network) {
  for (const GraphNode& node : network.graph().nodes) {
    const auto* conv = std::get_if<ops::Conv2d>(&node.attrs);
    if (conv == nullptr) continue;
    PlanValue& owner = values_[size_t(places_.root(network.value_of(node.inputs[0])))];
    owner.halo = std::max({owner.halo, conv->pad_h, conv->pad_w});
  }
}

}  // namespace mtyolo::models

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

}  // namespace

PlanLayout::PlanLayout(const Network& network, const std::vector<Shape>& shapes) {
  const Graph& graph = network.graph();
  values_.resize(graph.nodes.size());
  copied_.resize(graph.nodes.size());
  for (const GraphNode& node : graph.nodes) {
    const Shape& s = shapes[size_t(node.id)];
    if (std::holds_alternative<ops::DetectDecode>(node.attrs) || network.value_of(node.id) != node.id)
      continue;
    PlanValue& v = values_[size_t(node.id)];
    v.stored = true;
    v.channels = int(s[1]), v.h = int(s[2]), v.w = int(s[3]);
    if (std::holds_alternative<Input>(node.attrs) && fits_stem_pixel(network, node)) v.pixel = kStemPixel;
  }
  for (const GraphNode& node : graph.nodes)
    if (std::holds_alternative<ops::Concat>(node.attrs)) place_concat(network, node);
  grow_halos(network);
}

// An input becomes a slice of the result when it begins at a whole block and is no slice of another value
// yet.
void PlanLayout::place_concat(const Network& network, const GraphNode& node) {
  int channel = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int id = network.value_of(node.inputs[i]);
    PlanValue& v = values_[size_t(id)];
    const bool is_image = std::holds_alternative<Input>(network.graph().nodes[size_t(id)].attrs);
    if (channel % kBlock == 0 && v.parent < 0 && !is_image) {
      v.parent = node.id;
      v.parent_channel = channel;
    } else {
      copied_[size_t(node.id)].push_back(int(i));
    }
    channel += v.channels;
  }
}

// The halo of a buffer is the largest padding of the convolutions that read any part of it.
void PlanLayout::grow_halos(const Network& network) {
  for (const GraphNode& node : network.graph().nodes) {
    const auto* conv = std::get_if<ops::Conv2d>(&node.attrs);
    if (conv == nullptr) continue;
    PlanValue& owner = values_[size_t(root(network.value_of(node.inputs[0])))];
    owner.halo = std::max({owner.halo, conv->pad_h, conv->pad_w});
  }
}

int PlanLayout::root(int id) const {
  while (values_[size_t(id)].parent >= 0) id = values_[size_t(id)].parent;
  return id;
}

int PlanLayout::channel_in_root(int id) const {
  int channel = 0;
  for (; values_[size_t(id)].parent >= 0; id = values_[size_t(id)].parent)
    channel += values_[size_t(id)].parent_channel;
  return channel;
}

}  // namespace mtyolo::models

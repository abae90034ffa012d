#include "models/plan/concat_places.h"

namespace mtyolo::models {

ConcatPlaces::ConcatPlaces(const Graph& graph, const std::vector<int>& value_of, int block, bool whole)
    : places_(graph.nodes.size()), copied_(graph.nodes.size()) {
  for (const GraphNode& node : graph.nodes) {
    if (!std::holds_alternative<ops::Concat>(node.attrs)) continue;
    int channel = 0;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const GraphNode& value = graph.nodes[size_t(value_of[size_t(node.inputs[i])])];
      const bool fits = channel % block == 0 && (!whole || value.channels % block == 0);
      Place& place = places_[size_t(value.id)];
      if (fits && place.parent < 0 && !std::holds_alternative<Input>(value.attrs)) place = {node.id, channel};
      else copied_[size_t(node.id)].push_back(int(i));
      channel += value.channels;
    }
  }
}

int ConcatPlaces::root(int id) const {
  while (parent(id) >= 0) id = parent(id);
  return id;
}

int ConcatPlaces::channel_in_root(int id) const {
  int channel = 0;
  for (; parent(id) >= 0; id = parent(id)) channel += channel_in_parent(id);
  return channel;
}

}  // namespace mtyolo::models

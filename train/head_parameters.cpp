#include "train/head_parameters.h"

namespace mtyolo::train {

std::vector<std::set<std::string>> parameters_of_heads(const models::Graph& graph) {
  std::set<std::string> buffers;
  for (const models::ParamInfo& p : graph.params)
    if (p.is_buffer()) buffers.insert(p.name);
  std::vector<std::set<std::string>> out;
  for (const models::Head& head : graph.heads) {
    std::vector<bool> needed(graph.nodes.size(), false);
    for (const auto* maps : {&head.raw, &head.aux_raw})
      for (const int id : *maps) needed[size_t(id)] = true;
    std::set<std::string>& names = out.emplace_back();
    for (size_t i = graph.nodes.size(); i-- > 0;) {
      if (!needed[i]) continue;
      for (const int input : graph.nodes[i].inputs) needed[size_t(input)] = true;
      for (const std::string& name : graph.nodes[i].params)
        if (!buffers.contains(name)) names.insert(name);
    }
  }
  return out;
}

}  // namespace mtyolo::train

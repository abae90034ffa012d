#include "models/plan/epilogues.h"

#include <numeric>

namespace mtyolo::models {

Epilogues merge_epilogues(const Graph& graph) {
  Epilogues out;
  out.value_of.resize(graph.nodes.size());
  std::iota(out.value_of.begin(), out.value_of.end(), 0);
  std::vector<std::vector<int>> users(graph.nodes.size());
  for (const GraphNode& node : graph.nodes)
    for (int input : node.inputs) users[size_t(input)].push_back(node.id);
  std::vector<bool> is_output(graph.nodes.size(), false);
  for (const Head& head : graph.heads)
    for (int id : head.raw) is_output[size_t(id)] = true;

  const auto sole_user = [&](int id) {
    return users[size_t(id)].size() == 1 && !is_output[size_t(id)] ? users[size_t(id)][0] : -1;
  };
  std::vector<bool> merged(graph.nodes.size(), false);
  for (const GraphNode& conv : graph.nodes) {
    if (!std::holds_alternative<ops::Conv2d>(conv.attrs)) continue;
    const int id = conv.id;
    Epilogue& step = out.of_conv[id];
    int last = id;
    int next = sole_user(last);
    if (next >= 0 && std::holds_alternative<ops::Activation>(graph.nodes[size_t(next)].attrs)) {
      step.activation = std::get<ops::Activation>(graph.nodes[size_t(next)].attrs);
      last = next;
      next = sole_user(last);
    }
    if (next >= 0 && std::holds_alternative<ops::Add>(graph.nodes[size_t(next)].attrs) &&
        !merged[size_t(next)]) {
      const auto& inputs = graph.nodes[size_t(next)].inputs;
      const int other = inputs[0] == last ? inputs[1] : inputs[0];
      // The other summand must exist when the convolution runs.
      if (other < id && other != last) {
        step.residual = other;
        merged[size_t(next)] = true;
        last = next;
      }
    }
    for (int node = id; node != last; node = users[size_t(node)][0]) out.value_of[size_t(node)] = last;
  }
  return out;
}

}  // namespace mtyolo::models

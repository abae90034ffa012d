// Which activations and sums end in the convolution before them.
#pragma once

#include <map>
#include <optional>

#include "models/graph.h"

namespace mtyolo::models {

// y = activation(conv(x)) + residual.
struct Epilogue {
  ops::Activation activation;
  std::optional<int> residual;  // node id
};

struct Epilogues {
  std::map<int, Epilogue> of_conv;  // by convolution node
  // The node whose value a node's value is stored as: a convolution and the nodes merged into it share the
  // last one.
  std::vector<int> value_of;
};

Epilogues merge_epilogues(const Graph& graph);

}  // namespace mtyolo::models

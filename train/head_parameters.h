// Which parameters the heads of a graph share.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "models/graph.h"

namespace mtyolo::train {

// Per head, in the graph's order, the parameters that its raw maps depend on. What several heads name is
// shared, however the sharing came about: rows of a trunk, or units that mix the trunks.
std::vector<std::set<std::string>> parameters_of_heads(const models::Graph& graph);

}  // namespace mtyolo::train

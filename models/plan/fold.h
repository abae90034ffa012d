// Passes that turn a network into its deploy form: batch norms, RepConv branches and implicit terms become
// one convolution each (graph.md section 4), stride-1 pools of one input become a chain. Graph -> Graph; the
// weights are folded when asked for, one convolution at a time, so no second copy of the model is held.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/graph.h"
#include "models/weights/checkpoint.h"
#include "ops/fuse.h"

namespace mtyolo::models {

// Where a folded convolution's weight and bias come from: names of tensors in the original state dict.
struct FoldRecipe {
  struct Branch {
    std::string weight;           // empty: the identity branch of a RepConv
    std::string bias;             // may be empty
    std::vector<std::string> bn;  // weight, bias, mean, var; empty if none
    int kernel = 1;
  };
  std::vector<Branch> branches;  // one, or those of a RepConv
  double bn_eps = 1e-3;
  std::string implicit_add, implicit_mul;  // may be empty
};

// The deploy form: every convolution has the parameters {weight, bias} under yolov7's deploy names, and a
// recipe.
struct FoldedGraph {
  Graph graph;
  std::map<int, FoldRecipe> recipes;  // by node id
};

// Auxiliary outputs and nodes that no head needs are dropped.
FoldedGraph fold_graph(const Graph& graph);

// Weight [O,C/G,kh,kw] and bias [O] in f32, computed in f64; the weight in `into`, unless it is f32 and as
// stored.
ops::ConvWeights folded_weights(const FoldRecipe& recipe, const ops::Conv2d& params, const StateDict& weights,
                                const ops::FuseInto& into = {});

// Stride-1 max pools with kernels k1 < k2 < ... and padding k/2 over one value: the second pools the result
// of the first with k2 - k1 + 1, and so on. Exact, because padding counts as minus infinity.
Graph chain_pools(const Graph& graph);

// Removes nodes that reach no head output; ids are renumbered. `kept` receives old id -> new id (-1 =
// removed).
Graph drop_dead_nodes(const Graph& graph, std::vector<int>* kept = nullptr);

}  // namespace mtyolo::models

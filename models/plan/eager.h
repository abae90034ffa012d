// Runs a graph node by node with the plain ops, un-fused: what the plan and the deploy form are compared
// with.
#pragma once

#include <functional>

#include "models/graph.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// Values of all nodes for images [N,3,H,W] f32; freed ones are undefined tensors unless `keep_all`.
// The value of a detect_decode node is [N, rows, 5 + nc].
std::vector<Tensor> run_eagerly(Context& ctx, const ops::Impls& impls, const Graph& graph,
                                const StateDict& weights, const Tensor& images, bool keep_all = false);

// Predictions of each head, levels joined: [N, rows, 5 + nc].
std::vector<Tensor> head_predictions(const Graph& graph, const std::vector<Tensor>& values);

}  // namespace mtyolo::models

// Initial weights (graph.md section 2), drawn from a counter-based generator keyed by each tensor's name, so
// that neither the order of tensors nor other tensors change a draw.
#pragma once

#include <cstdint>

#include "models/graph.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// Every tensor of the graph: f32, the batch counters i64. Running variances are 0.9 and counters 1, as
// YOLOv7's stride probe leaves them.
StateDict init_weights(const Graph& graph, uint64_t seed);

// The anchors of a head as its buffers: [levels, anchors, 2] in grid units, and [levels, 1, anchors, 1, 1, 2]
// in pixels.
Tensor anchors_tensor(const Head& head);
Tensor anchor_grid_tensor(const Head& head);
// A cross-stitch weight that leaves its head's value as it is: 1 in the head's own row, 0 in the others.
Tensor cross_stitch_identity(const Graph& graph, const ParamInfo& param);

}  // namespace mtyolo::models

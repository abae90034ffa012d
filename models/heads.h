// Detection heads ("tasks") as data: which classes a head owns, and how a single head's rows become several
// heads.
#pragma once

#include <vector>

#include "models/graph_builder.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// The `heads` entry of our checkpoints, {a: {classes: [0, 1]}, ...}; null gives none. Throws Error{"config"}.
std::vector<HeadGroup> heads_from_document(const Document& document, int nc);
Document heads_to_document(const std::vector<HeadGroup>& heads);

// Output rows of the single head's convolution that `classes` keeps, per anchor: box and objectness (0..4),
// then one row per class. `from` holds the global class id of each class column of the single head.
std::vector<int64_t> rows_of_classes(int anchors, const std::vector<int>& from,
                                     const std::vector<int>& classes);

// "heads.a.model.105.m.0.bias" -> "model.105.m.0.bias"; other names stay.
std::string without_head(const std::string& name);
// ... -> "a"; empty for other names.
std::string head_in(const std::string& name);

// The weights of `split` (a graph with head groups) taken from those of `single` (the same cfg with one
// head): rows before the detection row and implicit additions by handle, in every head that has them; rows of
// the head's convolutions and implicit factors copied; cross-stitch units as identity.
StateDict split_weights(const Graph& single, const StateDict& weights, const Graph& split);

}  // namespace mtyolo::models

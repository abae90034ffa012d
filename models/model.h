// A network with its weights: from a checkpoint, or drawn at random from a cfg.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/graph_builder.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// A tensor that was not taken over: only in the file (`expected` empty), only in the network (`found` empty),
// or of another shape.
struct SkippedTensor {
  std::string name;
  std::optional<Shape> found, expected;
  std::string reason;
};

// What "Transferred N/M tensors" reports.
struct TransferReport {
  int64_t transferred = 0, total = 0;  // total: tensors of the network
  std::vector<SkippedTensor> skipped;
};

// The same for what one head of several has to itself, or for what all share (`head` empty).
struct HeadTransfer {
  std::string head;
  int64_t transferred = 0, total = 0;
};

struct Model {
  Graph graph;
  StateDict weights;             // every tensor of graph.params, in that order, in the type it is stored in
  Cfg cfg;                       // with the class count and anchors of the weights; cfg.document rebuilds it
  std::vector<HeadGroup> heads;  // empty: one head "all"
  std::string source;            // the weight file, or the cfg it was drawn from
  FileInState mapped;            // Checkpoint::mapped
  bool fused = false;            // implicit terms are already in the weights
  double bn_eps = 1e-3;
  TransferReport transfer;
};

// Copies into `target` (every tensor of the graph, which it has already) what `source` has with equal name
// and shape.
TransferReport transfer_weights(const Graph& graph, const StateDict& source, StateDict& target);

// By head, shared tensors first; empty for a network with one head. `report` may be of the single head that
// the graph was split from.
std::vector<HeadTransfer> transfer_by_head(const Graph& graph, const TransferReport& report);

// A model for inference, from the averaged weights if the file has them. The cfg is, in this order: the one
// given (a shipped name or a path), the one in the file, the shipped one that fits names and shapes of all
// tensors. The class count and the anchors of the tensors win over the cfg's. Missing batch counters and
// anchors are made up from the cfg; any other missing or misshapen tensor throws Error{kModel} that names it
// with both shapes.
// `cache`: as read_checkpoint's.
Model load_model(const std::string& weights_path, const std::string& cfg = "", const CacheFolder& cache = {});
Model model_from_checkpoint(const Checkpoint& checkpoint, const std::string& cfg = "");

// Random weights (models/init.h). `options` gives heads and names; its has_tensor must be empty.
Model model_from_cfg(const Cfg& cfg, uint64_t seed, const BuildOptions& options = {});

// One head into several that share what model.cfg.sharing says: each gets the rows of box, objectness and its
// classes, and a copy of every row it does not share, so that its predictions equal the single head's in
// these columns. Classes may be any disjoint, non-empty sets in any order. Throws Error{kUsage} for bad
// groups or a model that is already split.
Model split_heads(const Model& model, const std::vector<HeadGroup>& groups);

// What write_pt and write_safetensors need to make a file that load_model reads back.
Checkpoint checkpoint_from_model(const Model& model);

}  // namespace mtyolo::models

// Runs a graph in training mode on a tape, and back.
#pragma once

#include <memory>
#include <set>

#include "autograd/parameter.h"
#include "models/graph.h"
#include "models/weights/checkpoint.h"
#include "ops/impls.h"

namespace mtyolo::models {

// The parameters and buffers of a graph as a store, from weights of any floating type, and back as a state
// dict with the graph's names in the graph's order. Groups as in train.md section 4.
std::unique_ptr<autograd::ParamStore> make_param_store(Context& ctx, const Graph& graph,
                                                       const StateDict& weights);
StateDict state_dict_of(const Graph& graph, const autograd::ParamStore& store);

struct TrainGraphOptions {
  // Gradient checkpointing: keeps only the values between cfg rows and computes the rest again in the
  // backward pass. Same gradients, bit for bit.
  bool recompute = false;
  double bn_momentum = 0.03;  // the graph's nodes have the eps
  // Of maps and their gradients, f32 or bf16 (ops/blocked/training.h); parameters, statistics and what
  // forward() returns are f32.
  DType dtype = DType::kF32;
};

// Raw maps of one head, one tensor per level: [B, A, ny, nx, 5 + nc] f32 logits (ops/head_rows.h).
struct HeadMaps {
  std::vector<Tensor> levels, aux;
};

class TrainGraph {
 public:
  // A batch norm whose weight parameter is not trainable, or which is named in `frozen_bn` (by scope,
  // "model.24.bn"), uses its running statistics and leaves them alone.
  TrainGraph(Context& ctx, const ops::Impls& impls, const Graph& graph, autograd::ParamStore& store,
             const TrainGraphOptions& options = {});  // Error{kUsage}: bf16 with other implementations forced
  ~TrainGraph();

  void freeze_bn(std::set<std::string> scopes);

  // images [B,3,H,W] f32 in 0..1 or u8 (divided by 255); sides multiples of graph.max_stride. One entry per
  // head of the graph.
  std::vector<HeadMaps> forward(const Tensor& images);
  // Gradients of the maps of the last forward, in the same structure; an undefined tensor counts as zero.
  // Adds to the gradients in the store and frees the activations while it goes. Once per forward; with `keep`
  // they stay, and another backward pass may follow: one per head, say.
  void backward(const std::vector<HeadMaps>& gradients, bool keep = false);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtyolo::models

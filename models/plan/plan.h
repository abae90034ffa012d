// Compiled inference for one input shape: precomputed steps over one arena, no allocation in run
// (architecture.md 5).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/plan/memory.h"
#include "models/plan/network.h"

namespace mtyolo::models {

// Results of one head. Rows are levels one after the other, inside a level anchor, grid row, grid column.
struct HeadOutput {
  Tensor predictions;       // [N, rows, 5 + nc]: cx, cy, w, h in network pixels, objectness, class scores
  std::vector<Tensor> raw;  // per level [N, A*(5+nc), ny, nx] logits; only with PlanOptions::keep_raw
};

struct PlanOptions {
  bool keep_raw = false;
};

class Plan {
 public:
  // Throws Error when the sides do not fit the network (graph.max_stride).
  Plan(std::shared_ptr<const Network> network, int64_t n, int64_t h, int64_t w, PlanOptions options = {});

  // What one thread of execution needs: the arena and the output tensors. Reused by every run.
  class State {
   public:
    const std::vector<HeadOutput>& outputs() const { return outputs_; }  // one per head of the graph

   private:
    friend class Plan;
    Tensor arena_;
    std::vector<HeadOutput> outputs_;
    const Tensor* images_ = nullptr;
  };
  State make_state(Context& ctx) const;

  // images [N,3,H,W]: f32 in 0..1, or u8 which is divided by 255; any strides.
  // `timer` is told how long each step took.
  using StepTimer = std::function<void(size_t step, double milliseconds)>;
  void run(Context& ctx, const Tensor& images, State& state, const StepTimer& timer = {}) const;

  size_t arena_bytes() const { return size_t(arena_floats_) * sizeof(float); }
  size_t sum_of_maps_bytes() const { return sum_of_maps_bytes_; }  // without sharing; for comparison
  const std::vector<BufferLife>& buffers() const { return buffers_; }
  int copied_concat_inputs() const { return copied_concat_inputs_; }
  struct StepInfo {
    std::string op, scope, detail;
    double flops = 0;  // 2 per multiply-add of a convolution
  };
  const std::vector<StepInfo>& steps() const { return step_infos_; }

 private:
  using Run = std::function<void(Context&, State&)>;
  class Compiler;
  void add_step(const GraphNode& node, const std::string& detail, Run run);

  std::shared_ptr<const Network> network_;
  int64_t n_, h_, w_;
  PlanOptions options_;
  std::vector<Run> runs_;
  std::vector<StepInfo> step_infos_;
  std::vector<BufferLife> buffers_;
  std::vector<Shape> shapes_;
  int64_t arena_floats_ = 0;
  size_t sum_of_maps_bytes_ = 0;
  int copied_concat_inputs_ = 0;
};

}  // namespace mtyolo::models

// Exponential moving average of parameters and floating buffers (train.md section 6).
#pragma once

#include <vector>

#include "autograd/parameter.h"
#include "models/graph.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::train {

class Ema {
 public:
  // Starts as a copy of the model, integer buffers included, which it never changes.
  Ema(Context& ctx, const autograd::ParamStore& model, double decay = 0.9999, double tau = 2000);

  // decay * (1 - exp(-u / tau)), u = number of updates, that one included.
  double decay_at(int64_t update) const;
  // v <- d v + (1-d) model. The model must have the parameters it had at the start.
  void update(Context& ctx, const autograd::ParamStore& model);
  int64_t updates() const { return updates_; }

  // Views of the averages with the graph's names in the graph's order; clone what has to outlive the next
  // update.
  models::StateDict state_dict(const models::Graph& graph) const;
  // From a checkpoint. Throws Error{kModel, "ema_state"} that names a tensor that is missing or of another
  // shape.
  void restore(const models::StateDict& averages, int64_t updates);

 private:
  double decay_, tau_;
  int64_t updates_ = 0;
  Tensor values_;                             // flat, as ParamStore::values()
  std::vector<autograd::Buffer> parameters_;  // views of values_
  std::vector<autograd::Buffer> buffers_;
};

}  // namespace mtyolo::train

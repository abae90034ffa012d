// SGD with Nesterov momentum, Adam and AdamW over the flat buffers of a ParamStore (train.md section 4).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "autograd/parameter.h"
#include "models/weights/checkpoint.h"
#include "train/schedule.h"

namespace mtyolo::train {

// With rate L of the group times its lr_groups factor, decay d (group kWeight only, else 0), gradient g:
//   sgd    g' = g + d w; v <- m v + g'; w <- w - L (g' + m v)
//   adam   g' = g + d w; p <- b1 p + (1-b1) g'; q <- b2 q + (1-b2) g'^2;
//          w <- w - L (p / (1-b1^k)) / (sqrt(q / (1-b2^k)) + eps)
//   adamw  w <- w (1 - L d), then as adam with g' = g (Loshchilov and Hutter 2019)
// k counts the steps of the parameter, this one included.
enum class OptimizerKind : uint8_t { kSgd, kAdam, kAdamW };
OptimizerKind optimizer_by_name(const std::string& name);  // throws Error{kUsage} that lists the names

struct OptimizerParams {
  OptimizerKind kind = OptimizerKind::kSgd;
  double weight_decay = 5e-4;                       // ScaledHyp::weight_decay
  double beta1 = 0.937, beta2 = 0.999, eps = 1e-8;  // Adam, AdamW; beta1 = Hyp::momentum
  std::map<std::string, double> lr_groups = {};     // Hyp::lr_groups; the longest prefix wins
};

class Optimizer {
 public:
  // Keeps a reference to the store. Throws Error{kUsage, "config"} for an lr_groups prefix that no parameter
  // has.
  Optimizer(Context& ctx, autograd::ParamStore& store, const OptimizerParams& params);

  // Moves the trainable parameters; the gradients stay.
  void step(Context& ctx, const Rates& rates);
  // The first parameter, in flat order, whose gradient holds a nan or inf; empty if all are finite. Frozen
  // parameters are not looked at.
  std::string first_bad_gradient(Context& ctx) const;
  int64_t steps() const { return steps_; }

  // "optimizer.<moment>.<parameter>" f32 views of the moments (momentum; or exp_avg, exp_avg_sq and the i64
  // count `step`), and "optimizer.steps" i64 [1]. Clone what has to outlive the next step.
  models::StateDict state() const;
  // Throws Error{kModel, "optimizer_state"} that names a tensor that is missing or of another shape.
  void restore(const models::StateDict& state);

 private:
  struct Run;  // neighbouring elements that move alike
  std::vector<Run> runs(const Rates& rates) const;
  std::vector<std::string> moment_names() const;

  autograd::ParamStore& store_;
  OptimizerParams params_;
  std::vector<double> factors_;  // per parameter
  std::vector<int64_t> counts_;  // steps taken, per parameter
  std::vector<Tensor> moments_;  // flat, as ParamStore::values()
  int64_t steps_ = 0;
};

}  // namespace mtyolo::train

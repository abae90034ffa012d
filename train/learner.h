// A network that learns: its parameters, the losses of its heads, optimizer and averages. One micro-batch in,
// gradients; one update, new weights. What happens when is the Trainer's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/data_cfg.h"
#include "models/model.h"
#include "models/plan/plan.h"
#include "models/train_graph.h"
#include "train/ema.h"
#include "train/head_loss.h"
#include "train/hyp.h"
#include "train/losses/loss.h"
#include "train/optimizer.h"

namespace mtyolo::train {

struct LearnerParams {
  Hyp hyp;
  std::vector<data::HeadCfg> heads;  // of the data.yaml, whose order Batch::labelled counts; empty = one
  OptimizerKind optimizer = OptimizerKind::kSgd;
  IouKind iou = IouKind::kCiou;
  std::string assigner;  // "ota", "simple" or empty: as hyp.loss_ota says
  double label_smoothing = 0, ema_decay = 0.9999, ema_tau = 2000;
  int64_t img_size = 640, total_batch = 16, nominal_batch = 64;
  Compat compat;
  bool recompute = false;
  DType dtype = DType::kF32;  // of maps (models/train_graph.h)
  HeadLossRule head_loss = HeadLossRule::kFixed;
  uint64_t seed = 0;  // of the order of gradient surgery
};

// Of one micro-batch. `loss` is B * (box + obj + cls) of the head, before its weight; B, its images that are
// labelled for the head.
struct HeadLoss {
  double loss = 0, box = 0, obj = 0, cls = 0;
  int64_t images = 0;
};
struct BatchLoss {
  double total = 0;  // sum over heads of weight * loss; with learned weights see LogVariances
  std::vector<HeadLoss> heads;
  std::vector<std::string> bad_heads;  // whose loss is nan or inf; there are then no gradients
  bool finite() const { return bad_heads.empty(); }
};

class Learner {
 public:
  // Throws Error{kUsage} for an assigner that the head cannot have, and for weights of classes or heads that
  // do not exist.
  Learner(Context& ctx, const ops::Impls& impls, const models::Model& model, const LearnerParams& params);
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Forward, losses, backward: adds to the gradients. Targets of other heads' classes are dropped per head; a
  // head without a labelled image has loss 0 and no backward pass. If a loss is not finite nothing is added,
  // and running statistics are as before the call.
  BatchLoss accumulate(const Tensor& images, const data::Batch& batch);
  // Losses alone, by the plain assignment (train.md 9), of maps [N, A*(5+nc), ny, nx] as a plan gives them.
  std::vector<HeadLoss> validation_losses(const std::vector<models::HeadOutput>& outputs,
                                          const data::Batch& batch);

  // The gradients of a window of micro-batches are complete: surgery, and once per update, whatever the
  // number of micro-batches, the ties of soft sharing. Returns the first parameter whose gradient is not
  // finite, empty if there is none.
  std::string close_window();
  // After close_window(): moves the weights by the gradients, averages them, clears the gradients.
  void update(const Rates& rates);
  void clear_gradients();
  // Running statistics as they are now are what restore_statistics() brings back.
  void keep_statistics();
  void restore_statistics();

  // The first tensor of weights or averages that is not finite; empty if none.
  std::string first_bad_weight() const;

  // The parameters named do not train, all others do; the batch norms of frozen ones keep running statistics.
  // What is frozen takes the values of its averages, which it has already unless it was trained before.
  // `all_statistics`: those of every batch norm stay.
  void freeze(const std::set<std::string>& names, bool all_statistics);

  // Clones of weights, and once there was an update of averages and optimizer state; and back. restore()
  // throws Error{kModel} that names a tensor that is missing or of another shape.
  // `finished`: the averages stand under `model`, as in yolov7's files of finished runs, and the weights that
  // restore() goes on from under "optimizer.weights.".
  void save(models::Checkpoint& checkpoint, bool finished = false) const;
  void restore(const models::Checkpoint& checkpoint);

  models::StateDict averages() const { return ema_->state_dict(graph_); }  // views
  const models::Graph& graph() const { return graph_; }
  const std::map<std::string, ScaledHyp>& scaled() const { return scaled_; }
  autograd::ParamStore& store() { return *store_; }
  double head_weight(size_t head) const { return tasks_[head].weight; }  // the fixed one

  // What heads have in common, as it is now, by TensorBoard's tags: `train/couple`, the ties' value;
  // `train_a/log_variance`; `train/conflicts` of the surgeries since the last call.
  std::vector<std::pair<std::string, double>> head_scalars();

 private:
  struct Task {  // a head
    HeadSpec spec;
    LossParams params;
    LossFunction loss = nullptr;
    double weight = 1;
    std::vector<int> column;  // of a global class id; -1 = not this head's
    int bit = 0;              // in Batch::labelled
  };
  Task make_task(const models::Head& head, const LearnerParams& params);
  void take_averages();
  void make_head_loss(const LearnerParams& params);
  void backward(std::vector<models::HeadMaps>& gradients);
  static int64_t labelled_images(const Task& task, const data::Batch& batch);
  LossResult head_loss(const Task& task, LossFunction loss, std::span<const Tensor> levels,
                       std::span<const Tensor> aux, const data::Batch& batch, int64_t height, int64_t width,
                       bool gradients);

  Context& ctx_;
  models::Graph graph_;
  std::unique_ptr<autograd::ParamStore> store_;
  std::unique_ptr<models::TrainGraph> network_;
  OptimizerParams optimizer_params_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Ema> ema_;
  std::optional<LogVariances> variances_;
  std::unique_ptr<GradientSurgery> surgery_;
  std::vector<Task> tasks_;
  std::map<std::string, ScaledHyp> scaled_;
  std::vector<Tensor> kept_, before_;  // statistics: since keep_statistics(), and before a micro-batch
};

}  // namespace mtyolo::train

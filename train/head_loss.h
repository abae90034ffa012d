// How the losses of several heads become one step: fixed weights, learned weights, or gradient surgery.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "autograd/parameter.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::train {

enum class HeadLossRule : uint8_t { kFixed, kLearned, kPcgrad };
HeadLossRule head_loss_rule_by_name(const std::string& name);  // throws Error{kUsage} that lists the names

// Weights learned as log variances (Kendall, Gal and Cipolla 2018, eq. 7 with s = ln sigma^2). With the loss
// L_h = B_h * items_h of head h, B_h its labelled images and w_h its fixed weight, the total is
//   sum_h w_h (exp(-s_h) L_h + u B_h s_h),  u = kLossUnit,
// so that an image counts once in both terms, and s_h settles at ln(items_h / u): every head's loss comes to
// u w_h an image. The paper's constant in front of s is u so that gradients keep the size for which learning
// rates are chosen. s_h starts at 0, stays within +-kLogVarianceLimit, and takes Nesterov's step with the
// rate and momentum of parameters without decay along its gradient divided by u w_h B_h and clipped to +-1:
// the mean over the labelled images of a window of 1 - exp(-s_h) items_h / u. A window without one leaves it
// alone.
inline constexpr double kLossUnit = 0.1;        // an image's items with YOLOv7's gains, roughly
inline constexpr double kLogVarianceLimit = 7;  // factors of 1/1097..1097
class LogVariances {
 public:
  explicit LogVariances(size_t heads);
  double factor(size_t head) const;  // exp(-s)
  double value(size_t head) const { return entries_[head].s; }
  double regularizer(size_t head) const { return kLossUnit * entries_[head].s; }  // of an image
  void add(size_t head, double loss, double images);
  void clear();  // what add() collected
  void step(double rate, double momentum);

  // "optimizer.head_loss.log_variance" and "optimizer.head_loss.momentum" f64 [heads]. restore() starts anew
  // where they are missing: the run had another rule before.
  void save(models::StateDict& optimizer) const;
  void restore(const models::StateDict& optimizer);

 private:
  struct Entry {
    double s = 0, momentum = 0, loss = 0, images = 0;
  };
  std::vector<Entry> entries_;
};

// Gradient surgery (Yu et al. 2020, "Gradient Surgery for Multi-Task Learning", Algorithm 1) on the
// parameters that several heads share: from each head's gradient the part against another head's is taken
// away, others in an order drawn from the seed, and the sum of what is left is the gradient. Parameters of
// one head keep its gradient as it is. The gradients are those of a whole window of micro-batches, head
// weights included. Takes heads + 1 copies of the parameters.
class GradientSurgery {
 public:
  // `by_head`: parameters_of_heads(). The store outlives this.
  GradientSurgery(Context& ctx, autograd::ParamStore& store,
                  const std::vector<std::set<std::string>>& by_head, uint64_t seed);

  // Around the backward pass of one head: what the store collects in between is that head's.
  void begin(size_t head);
  void end(size_t head);
  // The window's gradient, into the store. `update`: number of the update, for the order.
  void combine(int64_t update);
  void clear();
  // The share of (head, other head) pairs in conflict since the last call; 0 if there was no combine().
  double take_conflicts();

 private:
  double dot(const float* a, const float* b) const;  // over the shared elements
  void project(int64_t update, size_t head, const std::vector<double>& squares);

  Context& ctx_;
  autograd::ParamStore& store_;
  uint64_t seed_;
  std::vector<std::pair<int64_t, int64_t>>
      shared_;                     // elements [begin, end) of the flat buffers, one task each
  std::vector<Tensor> gradients_;  // per head, flat
  Tensor work_;
  int64_t pairs_ = 0, conflicts_ = 0;
};

}  // namespace mtyolo::train

// Learning rates, momentum and accumulation of every iteration (train.md section 5).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "core/document.h"

namespace mtyolo::train {

// Where the reference differs from our default (the table of train.md section 5). `--compat v7` sets all.
struct Compat {
  bool lagging_rate = false;         // after warm-up, epoch e at f(e-1)
  bool reference_window = false;     // step when ni mod accumulate == 0, partial windows lost
  bool long_warmup = false;          // at least 1000 iterations, no cap
  bool ota_scale_by_height = false;  // targets of the assigner times the image height on both axes
  static Compat v7() { return {true, true, true, true}; }
};
Compat compat_by_name(const std::string& name);  // "" or "v7"; throws Error{kUsage}

// f(e), the factor of lr0 in epoch e of E:
//   cosine   (1 - cos(pi e/E))/2 * (lrf - 1) + 1
//   linear   (1 - e/(E-1)) * (1 - lrf) + lrf; 1 if E = 1
//   step     1, sqrt(lrf) from epoch 2E/3, lrf from 8E/9 (the milestones of detectron's schedules)
//   plateau  halved, down to lrf, when the fitness has not grown by 1e-4 of itself for 10 epochs
enum class LrSchedule : uint8_t { kCosine, kLinear, kStep, kPlateau };
LrSchedule lr_schedule_by_name(const std::string& name);  // throws Error{kUsage} that lists the names

struct Rates {
  std::array<double, 3> lr{};  // by autograd::ParamGroup
  double momentum = 0;         // of SGD; Adam keeps its own
  int accumulate = 1;          // micro-batches per optimizer step
};

struct ScheduleParams {
  LrSchedule kind = LrSchedule::kCosine;
  double lr0 = 0.01, lrf = 0.1, momentum = 0.937;
  // 0 warmup_epochs: no warm-up, unless compat.long_warmup; else at least 1000 iterations.
  double warmup_epochs = 3, warmup_momentum = 0.8, warmup_bias_lr = 0.1;
  bool momentum_warmup = true;  // false for Adam
  int epochs = 300;
  int64_t batches_per_epoch = 1;
  int64_t run_iterations = 0;  // where the run ends before its epochs do; 0 = epochs * batches_per_epoch
  int64_t total_batch = 16, nominal_batch = 64;
  Compat compat;
  std::optional<int64_t> warmup_iterations;  // instead of the rule
};

class Schedule {
 public:
  explicit Schedule(const ScheduleParams& params);

  // Of iteration ni (from 0, over all epochs), which lies in `epoch`. Warm-up lasts while ni <=
  // warmup_iterations().
  Rates rates(int64_t ni, int epoch) const;
  double factor(int epoch) const;  // f(e)
  int64_t warmup_iterations() const { return warmup_; }
  // A line to print if warm-up was cut to half of the run (known-issues T6), else empty.
  const std::string& message() const { return message_; }

  void end_epoch(double fitness);                // plateau counts
  void scale_rates(double by) { scale_ *= by; }  // after a rollback (known-issues T21)

  // What rates() depends on beyond the params, for checkpoints.
  Document state() const;
  void restore(const Document& state);

 private:
  ScheduleParams p_;
  int64_t warmup_ = 0;
  std::string message_;
  double scale_ = 1, plateau_ = 1, best_ = 0;
  int64_t bad_epochs_ = 0;
};

// max(round(nominal / total), 1), half to even.
int accumulation(int64_t total_batch, int64_t nominal_batch);

// Which micro-batches end with an optimizer step. Gradients are sums over the window.
class Window {
 public:
  explicit Window(const Compat& compat) : reference_(compat.reference_window) {}
  // Call after the backward pass of iteration ni; true: step, then clear the gradients.
  bool step_after(int64_t ni, int accumulate, bool last_of_epoch);
  // Micro-batches summed and not stepped. In the reference's rule they are lost when an epoch starts: clear
  // the gradients there. Ours steps at the end of the epoch, so nothing is left.
  int pending() const { return pending_; }
  void start_epoch() { pending_ = 0; }
  void restore(int pending) { pending_ = pending; }

 private:
  bool reference_;
  int pending_ = 0;
};

}  // namespace mtyolo::train

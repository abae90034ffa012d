// The training loop (train.md sections 3, 7 and 9, with the departures of known-issues section 2): epochs of
// micro-batches, validation of the averages, checkpoints, and what to do when something goes wrong.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "train/checkpoint_store.h"
#include "train/events.h"
#include "train/warnings.h"

namespace mtyolo::train {

struct TrainerHooks {
  std::vector<Observer*> observers;
  std::function<bool()> interrupted;  // looked at after every micro-batch and during validation
  std::chrono::nanoseconds save_every = std::chrono::minutes(10);  // within an epoch, after an update
};

class Trainer {
 public:
  // Writes opt.yaml, hyp.yaml, data.yaml and cfg.yaml and locks the folder. `resume`: a checkpoint of a run
  // with the same classes, whose state is taken up. The context and `impls` outlive the trainer.
  Trainer(Context& ctx, const ops::Impls& impls, RunSetup setup, std::string folder, TrainerHooks hooks,
          const models::Checkpoint* resume = nullptr);
  ~Trainer();

  // To the end of the run, or until it is stopped; a stopped run has a checkpoint to go on from. Observers
  // hear of the end, also by an error. Throws
  // Error{kRuntime, "diverged"} when the losses stay not finite, Error{kData} when the images are gone,
  // Error{"file_write"} when the last checkpoint could not be written.
  Outcome run();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Flow { kGoOn, kRestart, kStop };  // kRestart: the state was replaced by an older one

  // trainer.cpp
  void write_settings() const;
  std::vector<std::string> plan() const;
  void take_up(const models::Checkpoint& checkpoint);
  // `best`: names of the stripped files to write as well.
  void save(std::vector<std::string> also = {}, std::vector<std::string> best = {});
  void take_results(bool wait);
  std::optional<EndReason> stop_reason();
  double seconds() const;
  Flow checked_epoch();
  EndReason run_epochs();
  Outcome outcome(EndReason reason);
  Outcome finish(EndReason reason);
  void report_failure(const std::string& what) noexcept;
  template <class F>
  void tell(F&& f) {
    const PhaseClock::Scope phase(clock_, Phase::kReports);
    for (Observer* o : hooks_.observers) f(o);
  }

  // trainer_epoch.cpp
  Flow run_epoch();
  void begin_epoch();
  bool next_batch(data::Batch& batch);
  Flow end_epoch();
  bool validate();  // false: interrupted
  void find_best();
  void add_results_row();
  std::vector<std::pair<std::string, double>> take_scalars();
  void write_results();
  data::AugmentParams augmentation(int64_t epoch) const;
  bool is_last_epoch() const { return state_.epoch + 1 >= setup_.settings.epochs; }

  // trainer_step.cpp
  Flow micro_batch(const data::Batch& batch);
  Tensor resized(const Tensor& images) const;  // --multi-scale
  void mark_border();
  void return_to_border();
  void report_step(const data::Batch& batch, int img_size);
  void bad_step(const std::string& what, const data::Batch& batch, const std::vector<std::string>& heads);
  Flow roll_back(const std::string& what);
  void note_unreadable();

  Context& ctx_;
  const ops::Impls& impls_;
  RunSetup setup_;
  std::string folder_;
  TrainerHooks hooks_;
  Warnings warnings_;
  std::unique_ptr<CheckpointStore> store_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Schedule> schedule_;
  std::unique_ptr<data::Loader> loader_, val_loader_;
  std::unique_ptr<Window> window_;

  TrainingState state_;
  // The counters of state_ that move within a window, as they were at its start.
  struct Border {
    int64_t batch = 0, iteration = 0, counted = 0, labels = 0;
    std::vector<LossSums> losses;
  } border_;
  std::vector<LossSums> validation_losses_;  // per head, of this epoch
  MetricsReport report_;
  int64_t good_in_window_ = 0, bad_in_a_row_ = 0, unreadable_seen_ = 0;
  std::string first_bad_;  // layer and heads of the last bad step
  int64_t last_labels_ = 0, steps_in_epoch_ = 0;
  size_t unreadable_named_ = 0;
  double images_per_s_ = 0;
  int last_size_ = 0;
  bool last_write_failed_ = false, validated_ = false, best_ = false, ended_ = false;
  std::vector<std::string> best_files_;  // of this epoch: best.pt, best_a.pt
  double seconds_before_ = 0;            // of earlier processes
  Clock::time_point began_, epoch_began_, saved_;
  PhaseClock clock_;
  PhaseSeconds epoch_times_{};  // clock_ at the epoch's start
  int64_t images_in_epoch_ = 0;
};

}  // namespace mtyolo::train

// What a training run tells while it runs: to the terminal, to JSON lines, to pictures and event files.
#pragma once

#include <string>
#include <vector>

#include "train/learner.h"
#include "train/metrics_report.h"
#include "train/phase_times.h"
#include "train/run_setup.h"
#include "train/training_state.h"

namespace mtyolo::train {

// After every micro-batch; losses are means of the epoch so far.
struct StepEvent {
  int64_t epoch = 0, epochs = 0, batch = 0, batches = 0;  // batch: done
  LossSums loss;                                          // over heads, weighted
  std::vector<LossSums> heads;                            // per head, in the graph's order
  int64_t labels = 0;                                     // of this micro-batch
  int img_size = 0;
  double memory_gb = 0, images_per_s = 0, seconds_left = 0;
  const data::Batch* images = nullptr;
  int64_t iteration = 0;
};

struct ValidationEvent {
  int64_t epoch = 0;
  const MetricsReport* report = nullptr;
  const Evaluation* evaluation = nullptr;
  const data::Dataset* dataset = nullptr;
  bool best = false;
};

struct EpochEvent {
  int64_t epoch = 0, epochs = 0;
  const ResultsTable* results = nullptr;  // the last row is this epoch's
  bool validated = false, best = false;
  std::vector<std::pair<std::string, double>> scalars = {};  // Learner::head_scalars()
};

enum class EndReason { kEpochs, kPatience, kMaxSteps, kTimeLimit, kInterrupted, kFailed };
const char* name_of(EndReason reason);

struct Outcome {
  EndReason reason = EndReason::kEpochs;
  std::string folder, checkpoint;  // checkpoint: to go on from
  int64_t epochs_done = 0, optimizer_steps = 0, best_epoch = -1;
  double best_fitness = -1, seconds = 0;
  int64_t skipped_steps = 0, unreadable = 0, left_out = 0;  // left_out: images and labels refused by the scan
  int rollbacks = 0;
  PhaseSeconds time{};  // of this process
  std::string error;    // kFailed: why
};

class Observer {
 public:
  virtual ~Observer() = default;
  // `plan`: lines that say what will happen.
  virtual void on_start(const RunSetup&, const TrainingState&, const std::vector<std::string>& /*plan*/) {}
  virtual void on_step(const StepEvent&) {}
  // While validation goes on; `images` of `total`.
  virtual void on_validating(int64_t /*images*/, int64_t /*total*/) {}
  // A batch of validation with its boxes in pixels of the original images; the first three of an epoch.
  virtual void on_validation_batch(int /*index*/, const data::Batch&, const EvaluateHooks::Boxes&) {}
  virtual void on_validation(const ValidationEvent&) {}
  virtual void on_epoch(const EpochEvent&) {}
  virtual void on_warning(const std::string& /*code*/, const std::string& /*text*/) {}
  virtual void on_checkpoint(const std::string& /*path*/, int64_t /*epoch*/) {}
  virtual void on_end(const Outcome&) {}
  // Instead of on_end where an error ends the run (kFailed); the trainer passes the error on afterwards,
  // whatever is thrown here.
  virtual void on_failure(const Outcome& outcome) { on_end(outcome); }
};

}  // namespace mtyolo::train

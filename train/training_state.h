// Everything a run needs to go on as if it had never stopped (reliability.md 9.5), as a value, and its place
// in our .pt. There is no state of random numbers: a draw follows from seed, epoch and sample.
#pragma once

#include <string>
#include <vector>

#include "models/weights/checkpoint.h"
#include "train/results.h"
#include "train/settings.h"

namespace mtyolo::train {

// Sums of a head over the micro-batches of an epoch: means of these are shown and stand in results.csv.
struct LossSums {
  double box = 0, obj = 0, cls = 0;
  int64_t batches = 0;  // with an image labelled for the head
  LossSums mean() const {
    const double n = batches > 0 ? double(batches) : 1;
    return {box / n, obj / n, cls / n, batches};
  }
};

struct TrainingState {
  // Position. A state is taken where no gradient is pending.
  int64_t epoch = 0;            // under way, or next
  int64_t batch = 0;            // micro-batches of it that are done
  int64_t iteration = 0;        // micro-batches since the start of the run
  int64_t optimizer_steps = 0;  // that moved the weights
  int64_t warmup_iterations = 0;
  Document schedule;  // Schedule::state()

  // Shown averages of the epoch under way: per head, and the number of micro-batches in them.
  std::vector<LossSums> losses;
  int64_t counted = 0, labels = 0;  // labels: of the epoch

  double best_fitness = -1;  // -1: nothing was validated yet
  int64_t best_epoch = -1;
  std::vector<double> head_fitness;  // the best of each head, with several
  std::vector<double> class_ap;      // of the last validation, by class; for image weights
  double seconds = 0;                // of training, over all processes
  int64_t skipped_steps = 0, unreadable = 0;
  int rollbacks = 0;  // also: which order of the samples is used

  ResultsTable results;
  std::string results_txt;

  // What the run is about; compared on resume.
  Settings settings;
  int64_t world_size = 1, classes = 0;
  std::string set_fingerprint, version;
};

// Puts the state into the checkpoint's keys `epoch`, `best_fitness`, `results`, `rng` and `training_results`;
// weights, averages and optimizer are the caller's.
void put_state(const TrainingState& state, models::Checkpoint& checkpoint);
// Throws Error{kModel, "no_state"} for a file without one (weights of another program, a finished best.pt).
TrainingState state_from(const models::Checkpoint& checkpoint);

}  // namespace mtyolo::train

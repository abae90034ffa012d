// What other programs read of a training run while it goes on: TensorBoard's event file (conventions.md
// section 6) and metrics.json of the best epoch.
#pragma once

#include <memory>

#include "train/plots/tensorboard.h"
#include "train/run_files.h"

namespace mtyolo::train {

class RunEvents : public Observer {
 public:
  RunEvents(std::string folder, Warnings& warnings) : folder_(std::move(folder)), writer_(warnings) {}

  void on_start(const RunSetup& setup, const TrainingState& state,
                const std::vector<std::string>& plan) override;
  void on_validation(const ValidationEvent& e) override;
  void on_epoch(const EpochEvent& e) override;
  void on_end(const Outcome& outcome) override;

  // A picture under `tag`, small enough that a run of many epochs stays a file of some megabytes.
  void image(const std::string& tag, const data::Image& image, int64_t step);

 private:
  EventFile* file(int64_t first_step);  // nullptr: it cannot be written at the moment
  void write_metrics();

  std::string folder_;
  LenientWriter writer_;
  std::unique_ptr<EventFile> file_;
  ClassTable classes_;
  std::vector<int64_t> class_counts_;
  bool counted_ = false;    // class_counts_ are in the file
  int64_t next_epoch_ = 0;  // the first without its row
  std::string metrics_;     // still to be written
};

}  // namespace mtyolo::train

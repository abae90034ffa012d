// The pictures of a training run (conventions.md section 5), made while it goes on. What costs much is drawn
// at the end alone; what cannot be written is tried again after the next epoch.
#pragma once

#include <map>

#include "train/run_events.h"
#include "train/run_files.h"

namespace mtyolo::train {

class RunPictures : public Observer {
 public:
  // `events` receives some of the pictures.
  RunPictures(std::string folder, RunEvents& events, Warnings& warnings)
      : folder_(std::move(folder)), events_(events), writer_(warnings) {}

  void on_start(const RunSetup& setup, const TrainingState& state,
                const std::vector<std::string>& plan) override;
  void on_step(const StepEvent& e) override;
  void on_validation_batch(int index, const data::Batch& batch, const EvaluateHooks::Boxes& found) override;
  void on_validation(const ValidationEvent& e) override;
  void on_epoch(const EpochEvent& e) override;
  void on_end(const Outcome& outcome) override;

 private:
  using Clock = std::chrono::steady_clock;
  // Draws and writes FOLDER/name; `make` gives the picture.
  template <class Make>
  void picture(const std::string& name, Make&& make);
  void write(PictureFile file);
  void write_waiting();
  void draw_results_now();

  std::string folder_;
  RunEvents& events_;
  LenientWriter writer_;
  ClassTable classes_;
  std::map<std::string, PictureFile> waiting_;  // could not be written
  StandingValidation validation_;
  ResultsTable results_;  // not drawn yet; empty = drawn
  int64_t epoch_ = 0, epochs_ = 1;
  bool draws_predictions_ = false, has_val_labels_ = false;
  Clock::time_point results_drawn_{}, predictions_drawn_{};
};

}  // namespace mtyolo::train

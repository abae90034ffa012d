// The observers that write into the folder of a training run: event file, pictures, predictions, report.
#pragma once

#include "train/run_pictures.h"
#include "train/run_report.h"
#include "train/settings.h"

namespace mtyolo::cli {

// predictions.json of the best epoch, written when the run ends.
class TrainPredictions : public train::Observer {
 public:
  TrainPredictions(std::string folder, train::Warnings& warnings)
      : folder_(std::move(folder)), writer_(warnings) {}
  void on_start(const train::RunSetup& setup, const train::TrainingState& state,
                const std::vector<std::string>& plan) override;
  void on_validation(const train::ValidationEvent& e) override;
  void on_end(const train::Outcome& outcome) override;

 private:
  std::string folder_;
  train::LenientWriter writer_;
  const train::RunSetup* setup_ = nullptr;
  train::EvaluateHooks::Boxes found_;  // by image; empty = no best epoch yet
};

class TrainFiles {
 public:
  // `console` is told their warnings.
  TrainFiles(const std::string& folder, const train::Settings& settings, int threads,
             train::Observer& console);
  // In the order in which they are to be told.
  std::vector<train::Observer*> observers();

 private:
  train::Warnings warnings_;
  train::RunEvents events_;
  TrainPredictions predictions_;
  train::RunPictures pictures_;
  train::RunReport report_;
  bool draws_ = true;
};

}  // namespace mtyolo::cli

// report.html of a training run: gathers while it goes on, writes the page when it ends.
#pragma once

#include "train/plots/report.h"
#include "train/run_files.h"

namespace mtyolo::train {

class RunReport : public Observer {
 public:
  // `command`: to make the same run again. `facts`: of program and machine. `pictures`: those of RunPictures,
  // which is told of the end before this observer, are shown.
  RunReport(std::string folder, std::string command, std::vector<ReportFact> facts, bool pictures,
            Warnings& warnings);

  void on_start(const RunSetup& setup, const TrainingState& state,
                const std::vector<std::string>& plan) override;
  void on_validation(const ValidationEvent& e) override;
  void on_epoch(const EpochEvent& e) override;
  void on_end(const Outcome& outcome) override;

 private:
  void add_pictures();
  void add_worst();
  void add_outcome(const Outcome& o);
  // Adds FOLDER/name, shrunk, where there is such a file.
  void show(std::vector<ReportPicture>& where, const std::string& name, const std::string& title,
            int max_side);

  std::string folder_;
  ReportData report_;
  bool shows_pictures_;
  LenientWriter writer_;
  StandingValidation validation_;
  struct Worst {
    int64_t index = 0;  // of the validation set
    ImageScore score;
    ImageResult result;
  };
  std::vector<Worst> worst_;
  const data::Dataset* val_set_ = nullptr;
  double before_ = 0;  // seconds of earlier processes
};

}  // namespace mtyolo::train

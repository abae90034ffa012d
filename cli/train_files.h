// The observers that write into the folder of a training run: event file, pictures, report.
#pragma once

#include "train/run_report.h"
#include "train/settings.h"

namespace mtyolo::cli {

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
  train::RunPictures pictures_;
  train::RunReport report_;
  bool draws_ = true;
};

}  // namespace mtyolo::cli

// A training run on the terminal: one live line, plain lines in a pipe, or JSON lines (conventions.md
// sections 6 and 7).
#pragma once

#include <chrono>
#include <string>

#include "cli/common.h"
#include "train/events.h"

namespace mtyolo::cli {

class TrainConsole : public train::Observer {
 public:
  explicit TrainConsole(const CommonOptions& common);

  void on_start(const train::RunSetup& setup, const train::TrainingState& state,
                const std::vector<std::string>& plan) override;
  void on_step(const train::StepEvent& e) override;
  void on_validating(int64_t images, int64_t total) override;
  void on_validation(const train::ValidationEvent& e) override;
  void on_epoch(const train::EpochEvent& e) override;
  void on_warning(const std::string& code, const std::string& text) override;
  void on_checkpoint(const std::string& path, int64_t epoch) override;
  void on_end(const train::Outcome& outcome) override;
  void on_failure(const train::Outcome& outcome) override;

 private:
  using Clock = std::chrono::steady_clock;
  void live(const std::string& line);  // redrawn on a terminal, every ten seconds elsewhere
  void clear();
  void log_losses();

  bool json_, quiet_, terminal_, shown_ = false, headed_ = false;
  int classes_ = 0;
  Clock::time_point last_{};
  std::string line_;
  std::vector<std::string> heads_;
  std::vector<train::LossSums> losses_;  // per head
};

}  // namespace mtyolo::cli

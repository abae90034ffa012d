// The pictures, event file, metrics.json and report.html of a training run, made while it runs. What cannot
// be written is warned of once; the run goes on.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "train/events.h"
#include "train/plots/report.h"
#include "train/plots/tensorboard.h"

namespace mtyolo::train {

class RunPictures : public Observer {
 public:
  // `command`: as typed, for the report.
  RunPictures(std::string folder, std::string command);
  ~RunPictures() override;

  void on_start(const RunSetup& setup, const TrainingState& state,
                const std::vector<std::string>& plan) override;
  void on_step(const StepEvent& e) override;
  void on_validation_batch(int index, const data::Batch& batch, const EvaluateHooks::Boxes& found) override;
  void on_validation(const ValidationEvent& e) override;
  void on_epoch(const EpochEvent& e) override;
  void on_end(const Outcome& outcome) override;

 private:
  // Makes the picture, writes it and keeps it for the report.
  template <class Make>
  void picture(const std::string& name, Make&& make);
  // Runs `f`; an Error becomes one warning per kind.
  template <class F>
  void guarded(const std::string& what, F&& f);
  void draw_worst(const ValidationEvent& e);
  void tag_image(const std::string& tag, const std::string& name, const data::Image& image, int64_t step);
  ReportPicture shown(const std::string& name, const std::string& title) const;

  std::string folder_;
  ReportData report_;
  ClassTable classes_;
  std::unique_ptr<EventFile> events_;
  std::map<std::string, PictureFile> files_;  // by name, the newest
  std::set<std::string> warned_;
  int64_t first_iteration_ = 0, epoch_ = 0;
  int epochs_ = 1;
  double drawing_seconds_ = 0;
};

}  // namespace mtyolo::train

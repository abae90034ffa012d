#include "train/run_events.h"

#include "train/plots/report.h"

namespace mtyolo::train {
namespace {

constexpr int kImageSide = 960;

}  // namespace

void RunEvents::on_start(const RunSetup& setup, const TrainingState& state,
                         const std::vector<std::string>& /*plan*/) {
  classes_ = ClassTable(setup.data.names, setup.data.heads);
  class_counts_ = describe_split("train", *setup.train_set, classes_.size()).class_counts;
  counted_ = state.epoch > 0;
  next_epoch_ = state.epoch;
  file(state.epoch);
}

EventFile* RunEvents::file(int64_t first_step) {
  if (!file_) writer_("the event file", [&] { file_ = std::make_unique<EventFile>(folder_, first_step); });
  return file_.get();
}

void RunEvents::image(const std::string& tag, const data::Image& image, int64_t step) {
  EventFile* events = file(next_epoch_);
  if (events == nullptr) return;
  writer_("the event file", [&] {
    const Preview p = preview(tag + ".jpg", image, kImageSide);
    events->image(tag, p.file.bytes, p.width, p.height, step);
  });
}

void RunEvents::on_validation(const ValidationEvent& e) {
  if (EventFile* events = file(next_epoch_); events != nullptr)
    for (const ClassMetrics& c : e.report->yolo.classes)
      events->scalar("AP/" + classes_.name(c.cls), c.ap50_95(), e.epoch);
  if (!e.best) return;
  auto d = metrics_document(*e.report, e.evaluation->speed);
  d["epoch"] = e.epoch;
  metrics_ = d.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  write_metrics();
}

void RunEvents::write_metrics() {
  if (!metrics_.empty() &&
      writer_("metrics.json", [&] { write_file_atomically(folder_ + "/metrics.json", metrics_); }))
    metrics_.clear();
}

void RunEvents::on_epoch(const EpochEvent& e) {
  write_metrics();
  if (e.epoch < next_epoch_) file_.reset();  // the run went back: a new file takes these steps over
  next_epoch_ = e.epoch + 1;
  EventFile* events = file(e.epoch);
  if (events == nullptr) return;
  if (!counted_) events->class_histogram("classes", class_counts_, e.epoch);
  events->last_row(*e.results);
  for (const auto& [tag, value] : e.scalars) events->scalar(tag, value, e.epoch);
  counted_ = writer_("the event file", [&] { events->flush(); }) || counted_;
}

void RunEvents::on_end(const Outcome&) {
  write_metrics();
  if (file_) writer_("the event file", [&] { file_->flush(); });
}

}  // namespace mtyolo::train

#include "train/run_pictures.h"

#include <chrono>

#include "core/log.h"
#include "data/anchors.h"

namespace mtyolo::train {
namespace {

constexpr int kTrainBatches = 3, kWorst = 8;

AnchorFit anchor_fit(const RunSetup& setup) {
  data::AnchorParams params;
  params.img_size = setup.settings.img_size;
  params.threshold = setup.hyp.anchor_t;
  const auto sizes = data::label_sizes(*setup.train_set, params, false);
  AnchorFit fit;
  fit.img_size = params.img_size;
  fit.threshold = params.threshold;
  std::vector<data::Size2> all;
  for (const data::Size2& s : sizes) fit.sizes.push_back({float(s[0]), float(s[1])});
  for (const auto& level : setup.model.graph.heads[0].anchors) {
    auto& row = fit.anchors.emplace_back();
    for (size_t i = 0; i + 1 < level.size(); i += 2) {
      row.push_back({level[i], level[i + 1]});
      all.push_back({level[i], level[i + 1]});
    }
  }
  const data::AnchorMetrics m = data::measure_anchors(sizes, all, params.threshold);
  fit.best_possible_recall = m.recall;
  fit.anchors_above_threshold = m.per_label;
  return fit;
}

std::vector<ReportFact> facts_of(const Document& map) {
  std::vector<ReportFact> facts;
  for (const auto& [key, value] : map.fields) {
    std::string text = value.text;
    for (const Document& item : value.items) text += (text.empty() ? "" : ", ") + item.text;
    facts.push_back({key, text});
  }
  return facts;
}

}  // namespace

RunPictures::RunPictures(std::string folder, std::string command) : folder_(std::move(folder)) {
  report_.command = std::move(command);
}

RunPictures::~RunPictures() = default;

template <class F>
void RunPictures::guarded(const std::string& what, F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    f();
  } catch (const Error& e) {
    if (warned_.insert(what).second) log::warning("{} was not written: {}", what, e.what());
  }
  drawing_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

template <class Make>
void RunPictures::picture(const std::string& name, Make&& make) {
  guarded(name, [&] {
    PictureFile file = encode_picture(name, make());
    write_picture(folder_, file);
    files_[name] = std::move(file);
  });
}

void RunPictures::on_start(const RunSetup& setup, const TrainingState& state,
                           const std::vector<std::string>& plan) {
  classes_ = ClassTable(setup.data.names, setup.data.heads);
  first_iteration_ = state.iteration;
  epochs_ = setup.settings.epochs;
  report_.classes = classes_;
  report_.title = fmt::format("{} on {}", setup.model.cfg.source, setup.settings.data);
  report_.settings = facts_of(settings_to_document(setup.settings));
  for (const ReportFact& fact : facts_of(hyp_to_document(setup.hyp))) report_.settings.push_back(fact);
  for (size_t i = 0; i < plan.size(); ++i) report_.run.push_back({i == 0 ? "plan" : "", plan[i]});
  const int nc = classes_.size();
  report_.splits.push_back(describe_split("train", *setup.train_set, nc));
  if (setup.val_set) report_.splits.push_back(describe_split("val", *setup.val_set, nc));
  for (const data::Dataset* set : {setup.train_set.get(), setup.val_set.get()})
    if (set != nullptr)
      report_.findings.insert(report_.findings.end(), set->report().findings.begin(),
                              set->report().findings.end());
  guarded("the event file", [&] {
    events_ = std::make_unique<EventFile>(folder_, state.epoch);
    if (state.epoch == 0) events_->class_histogram("classes", report_.splits[0].class_counts, 0);
  });
  const auto boxes = collect_boxes(*setup.train_set);
  picture("labels.jpg", [&] { return draw_labels(boxes, classes_); });
  picture("labels_correlogram.jpg", [&] { return draw_label_correlogram(boxes); });
  picture("anchors.png", [&] { return draw_anchors(anchor_fit(setup)); });
}

void RunPictures::tag_image(const std::string& tag, const std::string& name, const data::Image& image,
                            int64_t step) {
  const auto file = files_.find(name);
  if (events_ && file != files_.end())
    events_->image(tag, file->second.bytes, image.width, image.height, step);
}

void RunPictures::on_step(const StepEvent& e) {
  const int64_t index = e.iteration - 1;
  if (first_iteration_ != 0 || index >= kTrainBatches) return;
  const std::string name = fmt::format("train_batch{}.jpg", index);
  const data::Image image = draw_batch_labels(*e.images, classes_);
  picture(name, [&] { return image; });
  tag_image("train_batch", name, image, index);
}

void RunPictures::on_validation_batch(int index, const data::Batch& batch,
                                      const EvaluateHooks::Boxes& found) {
  picture(fmt::format("val_batch{}_labels.jpg", index), [&] { return draw_batch_labels(batch, classes_); });
  const std::string name = fmt::format("val_batch{}_pred.jpg", index);
  const data::Image image = draw_batch_predictions(batch, found, classes_);
  picture(name, [&] { return image; });
  if (index == 0) tag_image("val_pred", name, image, epoch_);
}

void RunPictures::draw_worst(const ValidationEvent& e) {
  report_.worst.clear();
  for (const ImageScore& score : worst_images(e.evaluation->images, kWorst)) {
    const ImageResult& result = e.evaluation->images[size_t(score.index)];
    const std::string name = fmt::format("worst{}.jpg", report_.worst.size());
    guarded("the worst images", [&] {
      const data::Image image = e.dataset->read(score.index);
      report_.worst.push_back(
          {e.dataset->sample(score.index).path,
           fmt::format("{} right, {} false, {} missed", score.right, score.false_positives, score.missed),
           encode_picture(name, draw_errors(image, result, classes_))});
    });
  }
}

void RunPictures::on_validation(const ValidationEvent& e) {
  if (events_)
    for (const ClassMetrics& c : e.report->yolo.classes)
      events_->scalar("AP/" + classes_.name(c.cls), c.ap50_95(), e.epoch);
  if (!e.best && e.epoch + 1 < epochs_) return;
  report_.metrics = e.report->yolo;
  guarded("metrics.json", [&] {
    auto d = metrics_document(*e.report, e.evaluation->speed);
    d["epoch"] = e.epoch;
    write_file_atomically(folder_ + "/metrics.json",
                          d.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  });
  guarded("the curves", [&] {
    report_.metric_pictures.clear();
    for (PictureFile& file : draw_metrics(e.report->yolo, e.report->confusion, classes_)) {
      write_picture(folder_, file);
      report_.metric_pictures.push_back({file.name.substr(0, file.name.rfind('.')), "", std::move(file)});
    }
  });
  draw_worst(e);
}

void RunPictures::on_epoch(const EpochEvent& e) {
  epoch_ = e.epoch + 1;
  epochs_ = int(e.epochs);
  report_.results = *e.results;
  picture("results.png", [&] { return draw_results(*e.results); });
  if (!events_) return;
  guarded("the event file", [&] {
    events_->last_row(*e.results);
    events_->flush();
  });
}

ReportPicture RunPictures::shown(const std::string& name, const std::string& title) const {
  return {title, "", files_.at(name)};
}

void RunPictures::on_end(const Outcome& o) {
  for (const auto& [name, title] : {std::pair("labels.jpg", "labels"), {"anchors.png", "anchors"}})
    if (files_.contains(name)) report_.data_pictures.push_back(shown(name, title));
  for (const auto& [name, file] : files_)
    if (name.starts_with("train_batch") || name.starts_with("val_batch"))
      report_.batches.push_back(shown(name, name.substr(0, name.rfind('.'))));
  report_.verdict = o.best_epoch < 0 ? fmt::format("{} epochs, not validated.", o.epochs_done)
                                     : fmt::format("{} epochs; the best is epoch {} with fitness {:.4f}.",
                                                   o.epochs_done, o.best_epoch, o.best_fitness);
  report_.run.push_back({"ended by", name_of(o.reason)});
  report_.run.push_back({"optimizer steps", std::to_string(o.optimizer_steps)});
  report_.run.push_back({"skipped batches", std::to_string(o.skipped_steps)});
  report_.run.push_back({"unreadable images", std::to_string(o.unreadable + o.left_out)});
  report_.time.push_back({"training and validation", o.seconds - drawing_seconds_});
  report_.time.push_back({"pictures", drawing_seconds_});
  const std::string best = folder_ + "/weights/best.pt";
  report_.next_steps.push_back(
      {"Measure it", fmt::format("mtyolo val {}/data.yaml --weights {}", folder_, best)});
  report_.next_steps.push_back({"Use it", fmt::format("mtyolo infer PICTURES --weights {}", best)});
  report_.next_steps.push_back({"Go on", fmt::format("mtyolo train --resume {} --epochs N", folder_)});
  guarded("report.html", [&] { write_report(folder_ + "/report.html", report_); });
}

}  // namespace mtyolo::train

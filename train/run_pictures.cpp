#include "train/run_pictures.h"

#include "data/anchors.h"

namespace mtyolo::train {
namespace {

using namespace std::chrono_literals;
constexpr int kTrainBatches = 3;
constexpr auto kRedraw = 5s;  // short epochs do not spend their time on pictures
constexpr int64_t kTaggedEpochs = 50;

AnchorFit anchor_fit(const RunSetup& setup) {
  data::AnchorParams params;
  params.img_size = setup.settings.img_size;
  params.threshold = setup.hyp.anchor_t;
  const std::vector<data::Size2> sizes = data::label_sizes(*setup.train_set, params, false);
  AnchorFit fit;
  fit.img_size = params.img_size;
  fit.threshold = params.threshold;
  for (const data::Size2& s : sizes) fit.sizes.push_back({float(s[0]), float(s[1])});
  std::vector<data::Size2> all;
  for (const auto& level : setup.model.graph.heads[0].anchors) {
    auto& pairs = fit.anchors.emplace_back();
    for (size_t i = 0; i + 1 < level.size(); i += 2) {
      pairs.push_back({float(level[i]), float(level[i + 1])});
      all.push_back({double(level[i]), double(level[i + 1])});
    }
  }
  const data::AnchorMetrics m = data::measure_anchors(sizes, all, params.threshold);
  fit.best_possible_recall = m.recall;
  fit.anchors_above_threshold = m.per_label;
  return fit;
}

}  // namespace

template <class Make>
void RunPictures::picture(const std::string& name, Make&& make) {
  PictureFile file;
  if (writer_(name, [&] { file = encode_picture(name, make()); })) write(std::move(file));
}

void RunPictures::write(PictureFile file) {
  if (writer_(file.name, [&] { write_picture(folder_, file); })) waiting_.erase(file.name);
  else waiting_[file.name] = std::move(file);
}

void RunPictures::write_waiting() {
  for (auto& [name, file] : std::exchange(waiting_, {})) write(std::move(file));
}

void RunPictures::on_start(const RunSetup& setup, const TrainingState& state,
                           const std::vector<std::string>& /*plan*/) {
  classes_ = ClassTable(setup.data.names, setup.data.heads);
  epoch_ = state.epoch;
  epochs_ = setup.settings.epochs;
  const std::vector<BoxSample> boxes = collect_boxes(*setup.train_set);
  picture("labels.jpg", [&] { return draw_labels(boxes, classes_); });
  picture("labels_correlogram.jpg", [&] { return draw_label_correlogram(boxes); });
  picture("anchors.png", [&] { return draw_anchors(anchor_fit(setup)); });
}

void RunPictures::on_step(const StepEvent& e) {
  epoch_ = e.epoch;
  epochs_ = e.epochs;
  const int64_t index = e.iteration - 1;
  if (index < 0 || index >= kTrainBatches || e.images == nullptr) return;
  picture(fmt::format("train_batch{}.jpg", index), [&] {
    data::Image image = draw_batch_labels(*e.images, classes_);
    events_.image("train_batch", image, index);
    return image;
  });
}

void RunPictures::on_validation_batch(int index, const data::Batch& batch,
                                      const EvaluateHooks::Boxes& found) {
  if (index == 0) {
    draws_predictions_ = epoch_ + 1 == epochs_ || Clock::now() - predictions_drawn_ >= kRedraw;
    predictions_drawn_ = draws_predictions_ ? Clock::now() : predictions_drawn_;
  }
  if (!draws_predictions_) return;
  if (!has_val_labels_)
    picture(fmt::format("val_batch{}_labels.jpg", index), [&] { return draw_batch_labels(batch, classes_); });
  picture(fmt::format("val_batch{}_pred.jpg", index), [&] {
    data::Image image = draw_batch_predictions(batch, found, classes_);
    const int64_t every = (epochs_ + kTaggedEpochs - 1) / kTaggedEpochs;
    if (index == 0 && (epoch_ % every == 0 || epoch_ + 1 == epochs_))
      events_.image("val_pred", image, epoch_);
    return image;
  });
}

void RunPictures::on_validation(const ValidationEvent& e) {
  has_val_labels_ = has_val_labels_ || draws_predictions_;
  validation_.take(e);
}

void RunPictures::on_epoch(const EpochEvent& e) {
  write_waiting();
  results_ = *e.results;
  if (Clock::now() - results_drawn_ >= kRedraw) draw_results_now();
}

void RunPictures::draw_results_now() {
  picture("results.png", [&] { return draw_results(std::exchange(results_, {})); });
  results_drawn_ = Clock::now();
}

void RunPictures::on_end(const Outcome&) {
  write_waiting();
  if (!results_.rows.empty()) draw_results_now();
  if (!validation_.report) return;
  std::vector<PictureFile> files;
  writer_("curves",
          [&] { files = draw_metrics(validation_.report->yolo, validation_.report->confusion, classes_); });
  for (PictureFile& file : files) write(std::move(file));
}

}  // namespace mtyolo::train

#include "train/run_report.h"

#include <filesystem>

#include "core/yaml.h"

namespace mtyolo::train {
namespace {

namespace fs = std::filesystem;

constexpr int kWorst = 8, kShown = 2;
// Sides and sizes that keep the page of a run with two heads below three megabytes.
constexpr int kChartSide = 1100, kBatchSide = 760, kDataSide = 800, kWorstSide = 440;
constexpr size_t kPictureBytes = 150'000, kWorstBytes = 70'000;

std::string text_of(const Document& value) {
  if (!value.is_list()) return value.text;
  std::string text;
  for (const Document& item : value.items) text += (text.empty() ? "" : ", ") + text_of(item);
  return text;
}

void add_facts(const Document& map, std::vector<ReportFact>& facts) {
  for (const auto& [name, value] : map.fields)
    if (std::string text = text_of(value); !text.empty()) facts.push_back({name, std::move(text)});
}

// "learning rate: 0 to 0.01" as name and value; a line without a short beginning goes below the last name.
ReportFact plan_fact(const std::string& line) {
  constexpr size_t kLongestName = 16;
  const size_t colon = line.find(": ");
  if (colon == std::string::npos || colon > kLongestName) return {"", line};
  return {line.substr(0, colon), line.substr(colon + 2)};
}

std::string clock_text(double seconds) {
  const auto s = int64_t(seconds + 0.5);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string plural(int64_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// What the page says below its title.
std::string verdict_of(const Outcome& o, const StandingValidation& v) {
  std::string text;
  switch (o.reason) {
    case EndReason::kEpochs:
      text = fmt::format("Finished after {}", plural(o.epochs_done, "epoch"));
      break;
    case EndReason::kPatience:
      text = fmt::format("Stopped after {}, as no better one came for long (--patience)",
                         plural(o.epochs_done, "epoch"));
      break;
    case EndReason::kMaxSteps:
      text = fmt::format("Stopped at {} (--max-steps)", plural(o.optimizer_steps, "step"));
      break;
    case EndReason::kTimeLimit:
      text = fmt::format("Stopped by --time-limit after {}", plural(o.epochs_done, "epoch"));
      break;
    case EndReason::kInterrupted:
      text = fmt::format("Interrupted after {}", plural(o.epochs_done, "epoch"));
      break;
    case EndReason::kFailed:
      text = fmt::format("Ended by an error after {} ({})", plural(o.epochs_done, "epoch"), o.error);
      break;
  }
  text +=
      o.best_epoch < 0 ? "; nothing was validated." : fmt::format("; the best is epoch {}.", o.best_epoch);
  if (v.report && v.epoch != o.best_epoch)
    text += fmt::format(" Accuracy per class and worst images are those of epoch {}.", v.epoch);
  return text;
}

bool ended_early(EndReason reason) {
  return reason == EndReason::kMaxSteps || reason == EndReason::kTimeLimit ||
         reason == EndReason::kInterrupted || reason == EndReason::kFailed;
}

}  // namespace

RunReport::RunReport(std::string folder, std::string command, std::vector<ReportFact> facts, bool pictures,
                     Warnings& warnings)
    : folder_(std::move(folder)), shows_pictures_(pictures), writer_(warnings) {
  report_.command = std::move(command);
  report_.run = std::move(facts);
}

void RunReport::on_start(const RunSetup& setup, const TrainingState& state,
                         const std::vector<std::string>& plan) {
  before_ = state.seconds;
  report_.results = state.results;
  report_.classes = ClassTable(setup.data.names, setup.data.heads);
  report_.title = fmt::format("{} on {}", fs::path(setup.model.cfg.source).stem().string(),
                              fs::path(setup.data.file).filename().string());
  for (const std::string& line : plan) report_.run.push_back(plan_fact(line));
  add_facts(settings_to_document(setup.settings), report_.settings);
  add_facts(hyp_to_document(setup.hyp), report_.settings);
  val_set_ = setup.val_set.get();
  for (const auto& [name, set] : {std::pair("train", setup.train_set.get()), {"val", setup.val_set.get()}}) {
    if (set == nullptr) continue;
    report_.splits.push_back(describe_split(name, *set, report_.classes.size()));
    const auto& found = set->report().findings;
    report_.findings.insert(report_.findings.end(), found.begin(), found.end());
  }
}

void RunReport::on_validation(const ValidationEvent& e) {
  if (!validation_.take(e)) return;
  worst_.clear();
  for (const ImageScore& s : worst_images(e.evaluation->images, kWorst))
    worst_.push_back({s.index, s, e.evaluation->images[size_t(s.index)]});
}

void RunReport::on_epoch(const EpochEvent& e) { report_.results = *e.results; }

void RunReport::show(std::vector<ReportPicture>& where, const std::string& file, const std::string& title,
                     int max_side) {
  std::string name = file;
  std::replace(name.begin(), name.end(), '/', '_');
  const std::string path = (fs::path(folder_) / name).string();
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  writer_(name + " in report.html", [&] {
    where.push_back(
        {title, "",
         preview(fs::path(name).stem().string() + ".jpg", data::read_image(path), max_side, kPictureBytes)
             .file});
  });
}

void RunReport::add_pictures() {
  show(report_.data_pictures, "labels.jpg", "Labels", kDataSide);
  show(report_.data_pictures, "labels_correlogram.jpg", "Positions and sizes against each other", kDataSide);
  show(report_.data_pictures, "anchors.png", "Sizes of boxes and the anchors", kDataSide);
  std::vector<std::string> heads{""};
  if (report_.classes.heads().size() > 1)
    heads.insert(heads.end(), report_.classes.heads().begin(), report_.classes.heads().end());
  for (const std::string& head : heads) {
    const std::string suffix = head.empty() ? "" : "_" + head, of = head.empty() ? "" : ", head " + head;
    show(report_.metric_pictures, "PR_curve" + suffix + ".png", "Precision by recall" + of, kChartSide);
    show(report_.metric_pictures, "confusion_matrix_normalized" + suffix + ".png",
         "Confusion, share of each true class" + of, kChartSide);
    if (!head.empty()) continue;
    show(report_.metric_pictures, "F1_curve.png", "F1 by confidence", kChartSide);
    show(report_.metric_pictures, "confusion_matrix.png", "Confusion, counts", kChartSide);
  }
  for (int i = 0; i < kShown; ++i) {
    show(report_.batches, fmt::format("val_batch{}_labels.jpg", i), fmt::format("Validation {}: labels", i),
         kBatchSide);
    show(report_.batches, fmt::format("val_batch{}_pred.jpg", i), fmt::format("Validation {}: found", i),
         kBatchSide);
  }
  for (int i = 0; i < kShown; ++i)
    show(report_.batches, fmt::format("train_batch{}.jpg", i), fmt::format("Training batch {}", i),
         kBatchSide);
}

void RunReport::add_worst() {
  for (const Worst& w : worst_)
    writer_("the worst images in report.html", [&] {
      const data::Image drawn = draw_errors(val_set_->read(w.index), w.result, report_.classes, kWorstSide);
      report_.worst.push_back({fs::path(val_set_->sample(w.index).path).filename().string(),
                               fmt::format("{} right (green), {} false (red), {} missed (orange)",
                                           w.score.right, w.score.false_positives, w.score.missed),
                               preview("worst.jpg", drawn, kWorstSide, kWorstBytes).file});
    });
}

void RunReport::add_outcome(const Outcome& o) {
  report_.verdict = verdict_of(o, validation_);
  report_.headline = {{"epochs", std::to_string(o.epochs_done)}, {"time", clock_text(o.seconds)}};
  if (validation_.report) report_.metrics = validation_.report->yolo;
  report_.run.push_back({"ended by", name_of(o.reason)});
  for (const auto& [name, count] : {std::pair("optimizer steps", o.optimizer_steps),
                                    {"batches skipped", o.skipped_steps},
                                    {"images left out", o.left_out},
                                    {"images unreadable while training", o.unreadable},
                                    {"returns to an older state", int64_t(o.rollbacks)}})
    report_.run.push_back({name, std::to_string(count)});
  if (before_ > 0) report_.time.push_back({"before it was resumed", before_});
  for (size_t i = 0; i < o.time.size(); ++i) report_.time.push_back({kPhaseNames[i], o.time[i]});
  std::error_code ignored;
  if (ended_early(o.reason) && fs::exists(folder_ + "/weights/last.pt", ignored))
    report_.next_steps.push_back({"Go on where it stopped", "mtyolo train --resume " + folder_});
  const std::string weights = folder_ + (o.best_epoch < 0 ? "/weights/last.pt" : "/weights/best.pt");
  report_.next_steps.push_back(
      {"Find objects in your pictures", "mtyolo infer PICTURES --weights " + weights});
  report_.next_steps.push_back({"Measure it, with COCO's metric",
                                fmt::format("mtyolo val {}/data.yaml --weights {}", folder_, weights)});
  report_.next_steps.push_back(
      {"Use it in another program", fmt::format("mtyolo export {} --format onnx", weights)});
}

void RunReport::on_end(const Outcome& outcome) {
  if (shows_pictures_) {
    add_pictures();
    add_worst();
  }
  add_outcome(outcome);
  writer_("report.html", [&] { write_report(folder_ + "/report.html", report_); });
}

}  // namespace mtyolo::train

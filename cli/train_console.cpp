#include "cli/train_console.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "cli/output.h"
#include "core/log.h"

namespace mtyolo::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kRedraw = 200ms, kPlainLine = 10000ms;
constexpr int kShortTable = 50;  // fewer classes: a row for each at the best epoch

std::string clock_text(double seconds) {
  const auto s = int64_t(seconds + 0.5);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string header() {
  return fmt::format("{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}", "Epoch", "gpu_mem",
                     "box", "obj", "cls", "total", "labels", "img_size", "img/s", "ETA");
}

std::string step_line(const train::StepEvent& e) {
  return fmt::format("{:>10}{:>10}{:>10.4g}{:>10.4g}{:>10.4g}{:>10.4g}{:>10}{:>10}{:>10.1f}{:>10}",
                     fmt::format("{}/{}", e.epoch, e.epochs - 1), fmt::format("{:.3g}G", e.memory_gb),
                     e.loss.box, e.loss.obj, e.loss.cls, e.loss.box + e.loss.obj + e.loss.cls, e.labels,
                     e.img_size, e.images_per_s, clock_text(e.seconds_left));
}

// The same columns for one head.
std::string head_line(const std::string& head, const train::LossSums& l) {
  return fmt::format("{:>20}{:>10.4g}{:>10.4g}{:>10.4g}{:>10.4g}", "head:" + head, l.box, l.obj, l.cls,
                     l.box + l.obj + l.cls);
}

}  // namespace

TrainConsole::TrainConsole(const CommonOptions& common)
    : json_(common.json), quiet_(common.quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

void TrainConsole::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

void TrainConsole::live(const std::string& line) {
  if (quiet_) return;
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? kRedraw : kPlainLine)) return;
  last_ = now;
  if (terminal_) std::fputs(("\r\x1b[K" + line).c_str(), stderr);
  else std::fputs((line + "\n").c_str(), stderr);
  shown_ = terminal_;
}

void TrainConsole::on_start(const train::RunSetup& setup, const train::TrainingState&,
                            const std::vector<std::string>& plan) {
  classes_ = int(setup.data.names.size());
  for (const models::Head& head : setup.model.graph.heads) heads_.push_back(head.name);
  for (const std::string& line : plan) log::info("{}", line);
  last_ = Clock::now();
}

void TrainConsole::on_step(const train::StepEvent& e) {
  if (!headed_ && !quiet_) std::fputs((header() + "\n").c_str(), stderr);
  headed_ = true;
  line_ = step_line(e);
  losses_ = e.heads;
  live(line_ + fmt::format("  {}/{}", e.batch, e.batches));
}

// The epoch's line, and below it one of each head where there are several.
void TrainConsole::log_losses() {
  log::info("{}", line_);
  for (size_t h = 0; heads_.size() > 1 && h < losses_.size(); ++h)
    log::info("{}", head_line(heads_[h], losses_[h]));
}

void TrainConsole::on_validating(int64_t images, int64_t total) {
  live(fmt::format("{}  validation {}/{}", line_, images, total));
}

void TrainConsole::on_validation(const train::ValidationEvent& e) {
  clear();
  if (quiet_) return;
  const bool classes = e.best && classes_ > 1 && classes_ < kShortTable;
  log_losses();
  std::string table = train::metrics_table(*e.report, classes);
  if (!table.empty() && table.back() == '\n') table.pop_back();
  log::info("{}", table);
  line_.clear();
}

void TrainConsole::on_epoch(const train::EpochEvent& e) {
  clear();
  if (!e.validated && !quiet_) log_losses();
  headed_ = !e.validated;
  if (!json_) return;
  Json d = json_document("epoch");
  const auto& row = e.results->rows.back();
  for (size_t i = 0; i < row.size(); ++i)
    d[e.results->columns[i]] = std::isfinite(row[i]) ? Json(row[i]) : Json();
  d["epoch"] = e.epoch;
  d["epochs"] = e.epochs;
  d["best"] = e.best;
  print_json(d);
}

void TrainConsole::on_warning(const std::string& code, const std::string& text) {
  clear();
  if (!json_) return;
  Json d = json_document("warning");
  d["code"] = code;
  d["message"] = text;
  print_json(d);
}

void TrainConsole::on_checkpoint(const std::string& path, int64_t epoch) {
  log::debug("checkpoint {} written", path);
  if (!json_) return;
  Json d = json_document("checkpoint");
  d["path"] = path;
  d["epoch"] = epoch;
  print_json(d);
}

void TrainConsole::on_end(const train::Outcome& o) {
  clear();
  const bool stopped = o.reason == train::EndReason::kInterrupted ||
                       o.reason == train::EndReason::kMaxSteps || o.reason == train::EndReason::kTimeLimit;
  log::info(
      "{} epochs, {} optimizer steps in {}{}", o.epochs_done, o.optimizer_steps, clock_text(o.seconds),
      o.best_epoch >= 0 ? fmt::format("; best epoch {}, fitness {:.4f}", o.best_epoch, o.best_fitness) : "");
  if (o.left_out + o.unreadable + o.skipped_steps + o.rollbacks > 0)
    log::info(
        "{} images left out, {} unreadable while training, {} batches skipped, {} returns to an older state",
        o.left_out, o.unreadable, o.skipped_steps, o.rollbacks);
  if (log::warning_count() > 0) log::info("{} warnings, all in {}/train.log", log::warning_count(), o.folder);
  if (stopped)
    log::info("stopped ({}); go on with: mtyolo train --resume {}", train::name_of(o.reason), o.folder);
  else log::info("saved to {}", o.folder);
  if (!json_) return;
  Json d = json_document("end");
  d["reason"] = train::name_of(o.reason);
  d["folder"] = o.folder;
  d["checkpoint"] = o.checkpoint;
  d["epochs"] = o.epochs_done;
  d["optimizer_steps"] = o.optimizer_steps;
  d["best_epoch"] = o.best_epoch;
  d["best_fitness"] = o.best_fitness;
  d["seconds"] = o.seconds;
  d["skipped_steps"] = o.skipped_steps;
  d["unreadable"] = o.unreadable;
  d["left_out"] = o.left_out;
  d["rollbacks"] = o.rollbacks;
  d["warnings"] = log::warning_count();
  print_json(d);
}

// The command says what went wrong.
void TrainConsole::on_failure(const train::Outcome&) { clear(); }

}  // namespace mtyolo::cli

#include "cli/train_files.h"

#include <ctime>

#include "cli/build_info.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/val_output.h"

namespace mtyolo::cli {
namespace {

// For a shell.
std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// The run as a command: the flags that are not as they are by default.
std::string command_text(const train::Settings& settings) {
  const Document mine = train::settings_to_document(settings);
  const Document usual = train::settings_to_document({});
  std::string text = "mtyolo train " + shell_word(settings.data);
  for (size_t i = 1; i < mine.fields.size(); ++i) {  // the first is the data set
    const auto& [name, value] = mine.fields[i];
    std::vector<std::string> items;
    for (const Document& item : value.items) items.push_back(item.text);
    const std::string word = value.is_list() ? fmt::format("{}", fmt::join(items, ",")) : value.text;
    if (word == usual.fields[i].second.text || (value.is_list() && items.empty())) continue;
    text += word == "true" ? fmt::format(" --{}", name) : fmt::format(" --{} {}", name, shell_word(word));
  }
  return text;
}

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[64] = {};
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &local);
  return text;
}

std::vector<train::ReportFact> facts(const std::string& folder, int threads) {
  const MachineInfo m = inspect_machine();
  return {{"folder", folder},
          {"started", time_text()},
          {"version", fmt::format("mtyolo {} ({}, {})", kVersion, kCompiler, kBuildType)},
          {"machine", fmt::format("{}, {} cores, {}", m.cpu_model, m.cores_usable, human_bytes(m.ram_bytes))},
          {"threads", std::to_string(threads)}};
}

}  // namespace

void TrainPredictions::on_start(const train::RunSetup& setup, const train::TrainingState&,
                                const std::vector<std::string>&) {
  setup_ = &setup;
}

void TrainPredictions::on_validation(const train::ValidationEvent& e) {
  if (!e.best) return;
  found_.clear();
  for (const train::ImageResult& image : e.evaluation->images) found_.push_back(image.found);
}

void TrainPredictions::on_end(const train::Outcome&) {
  if (found_.empty()) return;
  writer_("predictions.json", [&] {
    ValOutputParams params{folder_, true, false, false, {}};
    if (setup_->settings.single_cls) params.category_ids = {0};
    else params.category_ids = category_ids(setup_->data, setup_->data.val.front(), setup_->data.names);
    ValOutput output(params, *setup_->val_set);
    data::Batch all;
    for (size_t i = 0; i < found_.size(); ++i) all.indices.push_back(int64_t(i));
    output.add_predictions(all, found_);
    output.finish();
  });
}

TrainFiles::TrainFiles(const std::string& folder, const train::Settings& settings, int threads,
                       train::Observer& console)
    : warnings_(
          [&console](const std::string& code, const std::string& text) { console.on_warning(code, text); }),
      events_(folder, warnings_),
      predictions_(folder, warnings_),
      pictures_(folder, events_, warnings_),
      report_(folder, command_text(settings), facts(folder, threads), !settings.noplots, warnings_),
      draws_(!settings.noplots) {}

std::vector<train::Observer*> TrainFiles::observers() {
  if (!draws_) return {&predictions_, &report_, &events_};
  return {&predictions_, &pictures_, &report_, &events_};
}

}  // namespace mtyolo::cli

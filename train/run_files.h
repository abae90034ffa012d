// What the observers that write into a run folder share.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "train/events.h"
#include "train/warnings.h"

namespace mtyolo::train {

// Writes files whose failure is no reason to stop: one warning per name, the next call tries again
// (reliability.md section 8).
class LenientWriter {
 public:
  explicit LenientWriter(Warnings& warnings) : warnings_(warnings) {}
  // Whether `f` went through.
  template <class F>
  bool operator()(const std::string& name, F&& f) {
    std::string error;
    try {
      f();
    } catch (const std::exception& e) {  // no memory for a picture either
      error = e.what();
    }
    if (!error.empty() && warned_.insert(name).second)
      warnings_.warn("run_files", fmt::format("{} was not written: {}", name, error));
    return error.empty();
  }

 private:
  Warnings& warnings_;
  std::set<std::string> warned_;
};

// The validation that stands for a run: that of the best epoch, or the last while this process has seen no
// best one.
struct StandingValidation {
  std::optional<MetricsReport> report;
  int64_t epoch = -1;
  bool best = false;

  bool takes(const ValidationEvent& e) const { return e.best || !best; }
  // False: it stays as it is.
  bool take(const ValidationEvent& e) {
    if (!takes(e)) return false;
    report = *e.report;
    epoch = e.epoch;
    best = best || e.best;
    return true;
  }
};

}  // namespace mtyolo::train

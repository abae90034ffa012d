// What the observers that write into a run folder share.
#pragma once

#include <chrono>
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
    const auto began = Clock::now();
    std::string error;
    try {
      f();
    } catch (const Error& e) {
      error = e.what();
    }
    seconds_ += std::chrono::duration<double>(Clock::now() - began).count();
    if (!error.empty() && warned_.insert(name).second)
      warnings_.warn("run_files", fmt::format("{} was not written: {}", name, error));
    return error.empty();
  }
  double seconds() const { return seconds_; }  // spent in here

 private:
  using Clock = std::chrono::steady_clock;
  Warnings& warnings_;
  std::set<std::string> warned_;
  double seconds_ = 0;
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

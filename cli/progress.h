// How far a long task is, on stderr: one line redrawn on a terminal, a plain line every ten seconds
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cli/common.h"

namespace mtyolo::cli {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  // Where the lines go and how they look; the default is stderr.
  struct Sink {
    std::function<void(std::string_view)> write;
    bool terminal = false;
    std::function<Clock::time_point()> now = Clock::now;
  };

  // `total` steps, 0 when unknown. Nothing is shown with --quiet.
  Progress(std::string label, int64_t total, const CommonOptions& common);
  Progress(std::string label, int64_t total, Sink sink);
  ~Progress();  // clears the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` steps are behind us; `note` stands at the end of the line.
  void update(int64_t done, std::string_view note = {});
  // Removes the bar before another message is written; the next update draws it again.
  void clear();

 private:
  std::string line(int64_t done, std::string_view note) const;

  std::string label_;
  int64_t total_;
  Sink sink_;
  Clock::time_point begin_, last_{};
  bool shown_ = false;
};

}  // namespace mtyolo::cli

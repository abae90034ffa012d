// Warnings of a long run: at most five of a kind per epoch are shown, the others counted (reliability.md
// section 8).
#pragma once

#include <functional>
#include <map>
#include <string>

namespace mtyolo::train {

class Warnings {
 public:
  using Show = std::function<void(const std::string& code, const std::string& text)>;
  explicit Warnings(Show show) : show_(std::move(show)) {}

  void warn(const std::string& code, const std::string& text);
  // One line per code that had more than were shown; counting starts again.
  void end_epoch();
  int64_t total() const { return total_; }

 private:
  static constexpr int kShown = 5;
  Show show_;
  std::map<std::string, int64_t> counts_;  // of this epoch
  int64_t total_ = 0;
};

}  // namespace mtyolo::train

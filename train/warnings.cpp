#include "train/warnings.h"

#include "core/log.h"

namespace mtyolo::train {

void Warnings::warn(const std::string& code, const std::string& text) {
  ++total_;
  if (++counts_[code] > kShown) return log::debug("warning: {}", text);
  log::warning("{}", text);
  if (show_) show_(code, text);
}

void Warnings::end_epoch() {
  for (const auto& [code, count] : counts_) {
    if (count <= kShown) continue;
    const std::string text =
        fmt::format("{} more warnings of the kind {} in this epoch (see train.log)", count - kShown, code);
    log::warning("{}", text);
    if (show_) show_(code, text);
  }
  counts_.clear();
}

}  // namespace mtyolo::train

// Messages for people, on stderr. Results go to stdout and never pass through here.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace mtyolo::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

// Below `level` nothing is written. `file` (may be empty) receives every message as well, from kDebug on.
void configure(Level level, const std::string& file = {});
Level level();
// Adds a file that receives every message as well, with the time, until the next configure().
void also_to(const std::string& file);

void write(Level level, std::string_view text);

template <class... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kDebug, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kInfo, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kWarning, fmt::format(text, std::forward<Args>(args)...));
}

// Warnings written since the start; the end line of a verb reports it.
int warning_count();

// Redirects messages to `sink` while it lives; tests assert on what was said.
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  std::string text() const;
};

}  // namespace mtyolo::log

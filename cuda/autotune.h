// Chooses among ways to compute the same thing by measuring them once, and remembers the winners in a text
// file, one line a key, so that a run with the same file makes the same choices.
//   # mtyolo autotune 1
//   KEY = CHOICE @ MILLISECONDS ms
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ops/device/session.h"

namespace mtyolo {

// Off: the first of the candidates. Cache only: what the file says, else the first.
enum class TuneMode : uint8_t { kOff, kCacheOnly, kOn };
TuneMode parse_tune_mode(const std::string& text);  // off, cache-only, on; throws Error{kUsage}

struct TuneCandidates {
  std::vector<std::string> names;  // best guess first; without " = ", " @ " and line ends
  // Makes one ready and returns what runs it. An Error means that it cannot run here.
  std::function<std::function<void()>(const std::string& name)> prepare;
  // What the last run computed. One whose result is farther than `tolerance` (relative L2) from that of the
  // first that runs is rejected, however fast.
  std::function<std::vector<float>()> result;
  double tolerance = 0;
};

class Autotuner {
 public:
  // Reads `path` unless the mode is off; a file that is not there is an empty one. Throws Error{kData,
  // "tune_cache"} with file and line for one that is not as above.
  Autotuner(TuneMode mode, std::string path);
  // The name to take; one candidate is not measured. Measured by the median of 11 samples after 3 that do not
  // count. Throws the first candidate's Error when none can run, Error{"check"} when there is none.
  std::string choose(DeviceSession& session, const std::string& key, const TuneCandidates& candidates);
  // Writes the file when something was measured since; atomically.
  void save();
  int measured() const { return measured_; }

 private:
  struct Entry {
    std::string choice;
    double ms = 0;
  };
  void read_line(std::string_view line, size_t number);
  Entry measure(DeviceSession& session, const std::string& key, const TuneCandidates& candidates);

  TuneMode mode_;
  std::string path_;
  std::map<std::string, Entry> entries_;
  int measured_ = 0;
  bool changed_ = false;
};

}  // namespace mtyolo

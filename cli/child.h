// This program once more, as a process of its own: for benches that measure memory, which a process cannot
// give back.
#pragma once

#include <string>
#include <vector>

namespace mtyolo::cli {

struct ChildResult {
  std::string out;  // its stdout; its stderr is this process's
  double cpu_seconds = 0;  // of all its threads; wall time would count what else the machine does
};

// Runs `mtyolo WORDS...` and waits. Throws Error with its exit code unless that is 0.
ChildResult run_child(const std::vector<std::string>& words);

}  // namespace mtyolo::cli

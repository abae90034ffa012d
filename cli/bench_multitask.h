// bench multitask: how much two tasks should share, trained and measured (docs/two_heads.md).
#pragma once

#include <string>
#include <vector>

#include "cli/common.h"
#include "core/error.h"

namespace mtyolo::cli {

struct MultitaskParams {
  std::vector<std::string> data;  // data.yamls with two heads or more, beside the drawn scenes
  int seeds = 3, epochs = 30, size = 128;
  std::string out, write;  // JSON document; page whose marked part is replaced
};

// Trains the network `demo` once per sharing and seed on every set, each in a process of its own, with equal
// epochs, batches and recipe, and prints the table. Throws Error.
ExitCode bench_multitask(const CommonOptions& common, const MultitaskParams& params);

}  // namespace mtyolo::cli

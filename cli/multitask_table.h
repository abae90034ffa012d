// The result of `bench multitask` as a table and as sentences that its spread over seeds allows.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace mtyolo::cli {

// One network trained with one seed.
struct MultitaskRun {
  std::string set, sharing;  // "scenes", "hard, all but the head"
  int seed = 0;
  double parameters = 0, ms_per_image = 0, train_mib = 0, infer_mib = 0, train_cpu_seconds = 0;
  std::vector<double> map50, map50_95;  // per head, 0..1
};

struct MultitaskSet {
  std::string name;
  std::vector<std::string> heads;
};

// Lowest, mean and highest of one quantity over the seeds.
struct Spread {
  double low = 0, mean = 0, high = 0;
};
Spread spread_of(const std::vector<double>& values);

// A Markdown table per set, rows in the order in which the sharings come first, and below it one sentence per
// sharing and head that compares its AP with the first sharing's: better or worse only where the ranges over
// the seeds do not overlap.
std::string multitask_markdown(const std::vector<MultitaskSet>& sets, const std::vector<MultitaskRun>& runs);

}  // namespace mtyolo::cli

// What `data check` found, filtered and grouped.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/scan.h"

namespace mtyolo::cli {

using Severity = data::Finding::Severity;
const char* name_of(Severity severity);  // "error", "warning", "info"

// --only or --skip: ids of findings. Both empty: everything.
struct CheckFilter {
  std::vector<std::string> only, skip;
  // Throws Error{kUsage} for an unknown id, with the nearest one, and when both are given.
  void check() const;
  bool shows(const std::string& check_id) const;
};

struct CheckedSplit {
  std::string name;
  std::vector<std::string> entries;
  data::ScannedSplit scan;
};

// Adds what only all splits together, or a split as a whole, can show: images that stand in two splits,
// classes without a box, a split that cannot be used.
void note_whole_set(const data::DataCfg& cfg, std::vector<CheckedSplit>& splits);

// Findings of one kind in one split.
struct FindingGroup {
  std::string check_id, split;
  Severity severity = Severity::kInfo;
  int64_t count = 0;  // rows, boxes or files
  std::vector<std::string> paths, messages;
};

struct CheckResult {
  std::vector<FindingGroup> groups;    // errors, warnings, notes; within each as they were met
  std::map<Severity, int64_t> totals;  // findings
  int64_t hidden = 0;                  // findings that the filter took out
};
CheckResult group_findings(const std::vector<CheckedSplit>& splits, const CheckFilter& filter);

}  // namespace mtyolo::cli

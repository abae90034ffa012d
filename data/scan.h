// Looks at every image and label of a split once, in parallel: dataset.h without the exception.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

struct ScannedSplit {
  std::vector<Sample> samples;
  ScanReport report;
  std::optional<ErrorInfo> fatal;  // why the split as a whole cannot be used (reliability.md section 8)
};

// Every image and label of the entries. With params.strict the first refused file in the order of the paths
// is the fatal error. Throws Error{kData} when an entry cannot be opened.
ScannedSplit scan_split(const DataCfg& cfg, const std::vector<std::string>& entries,
                        const DatasetParams& params);

}  // namespace mtyolo::data

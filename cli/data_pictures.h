// The pictures of `data check --plots` and `data stats --plots`.
#pragma once

#include "cli/data_findings.h"
#include "train/plots/pictures.h"

namespace mtyolo::cli {

// Writes into `folder` and returns the paths of: SPLIT_examples.jpg, up to 16 labelled images evenly picked;
// SPLIT_CHECK.jpg for each group of findings that concern images, up to 16 of them with the boxes that are
// left, or a grey tile where the image cannot be read.
std::vector<std::string> write_check_pictures(const std::string& folder, const data::DataCfg& cfg,
                                              const std::vector<CheckedSplit>& splits,
                                              const std::vector<FindingGroup>& groups);

// labels.jpg and labels_correlogram.jpg of the first split, with the suffix `_val` or `_test` those of the
// others, and classes.png: how the boxes of each split are shared out to the classes.
std::vector<std::string> write_stats_pictures(const std::string& folder, const data::DataCfg& cfg,
                                              const std::vector<train::SplitBoxes>& splits);

}  // namespace mtyolo::cli

// data.yaml (conventions.md section 4): splits, class names, heads.
#pragma once

#include <string>
#include <vector>

#include "core/document.h"

namespace mtyolo::data {

struct HeadCfg {
  std::string name;
  std::vector<int> classes;  // global class ids, in the order of the head's columns
  double weight = 1;
};

struct DataCfg {
  std::string file;
  std::vector<std::string> train, val, test;  // paths as written, resolved; empty = not given
  std::vector<std::string> names;             // by class id
  std::vector<HeadCfg> heads;                 // empty = one head
};

// What the caller needs of the file; everything given is checked either way.
enum class DataCfgUse { kNamesAndHeads, kPaths };

// Throws Error{kUsage} (faults of the file) or Error{kData} (paths that are not there) with file and line.
DataCfg read_data_cfg(const std::string& path, DataCfgUse use);

// `heads:` alone, checked against the number of classes: disjoint, covering, within range. Ranges "0-9", lists,
// single ids and class names are understood.
std::vector<HeadCfg> parse_heads(const Document& heads, const std::vector<std::string>& names);

}  // namespace mtyolo::data

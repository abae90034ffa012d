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

// What an entry written as a map adds to its path: {images: DIR, heads: [a]}, {json: F, images: DIR}.
struct EntryCfg {
  std::string path;                // as in train, val or test: the images, or the JSON
  std::string images;              // of {json: F, images: DIR}, resolved; "" = beside the JSON
  std::vector<std::string> heads;  // labelled for these alone; empty = for all
  bool operator==(const EntryCfg&) const = default;
};

struct DataCfg {
  std::string file;
  std::vector<std::string> train, val, test;  // paths as written, resolved; empty = not given
  std::vector<EntryCfg> details;              // of the entries written as maps
  std::vector<std::string> names;             // by class id
  std::vector<HeadCfg> heads;                 // empty = one head

  // What is known of an entry: its details, or its path alone.
  EntryCfg entry(const std::string& path) const;
};

// What the caller needs of the file; everything given is checked either way.
//   kNamesAndHeads  nothing is looked up on the disk, the paths stay as written
//   kPaths          training: train and val must be given and be there, test may be absent
//   kValPaths       validation: val or test must be given and be there, train is not looked up
//   kGivenPaths     one of train, val and test must be given, and all that are given be there
enum class DataCfgUse { kNamesAndHeads, kPaths, kValPaths, kGivenPaths };

// Throws Error{kUsage} (faults of the file) or Error{kData} (paths that are not there) with file and line.
DataCfg read_data_cfg(const std::string& path, DataCfgUse use);

// The same from memory; relative paths are looked for from the folder of `file`.
DataCfg parse_data_cfg(const Document& document, const std::string& file, DataCfgUse use);

// `heads:` alone, checked against the number of classes: disjoint, covering, within range. Ranges "0-9",
// lists, single ids and class names are understood.
std::vector<HeadCfg> parse_heads(const Document& heads, const std::vector<std::string>& names);

}  // namespace mtyolo::data

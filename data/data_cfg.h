// data.yaml (conventions.md section 4): splits, class names, heads.
//
// A head may bring its own data set: {data: other.yaml}. The names of that file come after those of this one,
// head by head in the order written, and its entries join the splits, labelled for that head alone. So every
// DataCfg is flat: global names, heads that share them out, entries that say how to read their labels.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/document.h"

namespace mtyolo::data {

struct HeadCfg {
  std::string name;
  std::vector<int> classes;  // global class ids, in the order of the head's columns
  double weight = 1;
};

inline constexpr size_t kMaxHeads = 64;  // bits of Sample::labelled

// What an entry written as a map adds to its path: {images: DIR, heads: [a], classes: 3-5}, {json: F, images:
// DIR}.
struct EntryCfg {
  std::string path;                // as in train, val or test: the images, or the JSON
  std::string images;              // of {json: F, images: DIR}, resolved; "" = beside the JSON
  std::vector<std::string> heads;  // labelled for these alone; empty = for all
  // Global ids of the classes 0, 1, ... of its label files (VOC and COCO: of their names); empty = all.
  std::vector<int> classes = {};
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
  // Names of the classes of an entry's label files, by the ids used there.
  std::vector<std::string> names_of(const EntryCfg& entry) const;
};

// What the caller needs of the file; everything given is checked either way.
//   kNamesAndHeads  nothing is looked up on the disk, the paths stay as written
//   kPaths          training: train and val must be given and be there, test may be absent
//   kValPaths       validation: val or test must be given and be there, train is not looked up
//   kGivenPaths     one of train, val and test must be given, and all that are given be there
enum class DataCfgUse { kNamesAndHeads, kPaths, kValPaths, kGivenPaths };

// Throws Error{kUsage} (faults of the file) or Error{kData} (paths that are not there) with file and line.
DataCfg read_data_cfg(const std::string& path, DataCfgUse use);

// Finds and reads the data file of a head: `path` as written, looked for from `folders`.
using ReadOther = std::function<Document(const std::string& path, const std::vector<std::string>& folders)>;
Document read_other_file(const std::string& path, const std::vector<std::string>& folders);

// The same from memory; relative paths are looked for from the folder of `file`.
DataCfg parse_data_cfg(const Document& document, const std::string& file, DataCfgUse use,
                       const ReadOther& read_other = read_other_file);

// `heads:` alone, checked against the number of classes: disjoint, covering, within range, at most kMaxHeads.
// Ranges "0-9", lists, single ids and class names are understood. `brought`: the classes of heads with their
// own data.
std::vector<HeadCfg> parse_heads(const Document& heads, const std::vector<std::string>& names,
                                 const std::map<std::string, std::vector<int>>& brought = {});

// Class ids "0-9", a list of ids, ranges and names, or one of them. Throws Error{kUsage} for one that
// `names` does not have.
std::vector<int> parse_class_ids(const Document& classes, const std::vector<std::string>& names);

}  // namespace mtyolo::data

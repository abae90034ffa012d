// Sharing images out to train, val and test.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

struct SplitParams {
  std::array<double, 3> ratios{0.8, 0.2, 0};  // of train, val, test; they sum to 1
  bool stratify = false;                      // the classes' images in the same ratios
  std::string group_by;                       // images with the same group stay together; "" = each alone
  uint64_t seed = 0;
};

// For each path the group it belongs to: what the first (...) of the POSIX extended expression matches, or
// the whole match; a path that does not match is a group of its own. Throws Error{kUsage} for a faulty
// expression.
std::vector<std::string> groups_of(const std::vector<std::string>& paths, const std::string& expression);

// For each image 0, 1 or 2. Each group goes to the part that lacks most. With `stratify` the rarest class is
// shared out first (Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data", ECML 2011);
// images without boxes count as a class.
std::vector<int> share_out(const Dataset& set, const SplitParams& params, size_t classes);

enum class SplitMode { kList, kLink, kCopy, kMove };

// Writes OUT/data.yaml and, as lists, OUT/train.txt ..., or as links, copies or the files themselves
// OUT/images/train/ and OUT/labels/train/ .... Empty parts are left out. Throws Error{kData} before any image
// is placed if two images or their labels would have one name, a target is there, or a name cannot stand in a
// list. Moving is all or nothing, see move_files(): OUT/moved.txt says from where, and `between` runs between
// two moves; what it throws undoes them.
void write_split(const Dataset& set, const std::vector<int>& parts, const DataCfg& cfg, SplitMode mode,
                 const std::string& out, const std::function<void()>& between = {});

}  // namespace mtyolo::data

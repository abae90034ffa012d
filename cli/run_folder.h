// Run folders: runs/infer/exp, exp2, exp3 ... (conventions.md section 5).
#pragma once

#include <string>
#include <vector>

#include "cli/common.h"

namespace mtyolo::cli {

// Makes PROJECT/NAME, or the first free PROJECT/NAME2, NAME3 ..., and returns its path. With --exist-ok an
// existing PROJECT/NAME is used as it is. Two processes never get the same new folder. Throws Error when it
// cannot be made.
std::string make_run_folder(const CommonOptions& common);

// "pictures in FOLDER: a.png b.png" for files of one folder; "" for none.
std::string pictures_line(const std::vector<std::string>& paths);

}  // namespace mtyolo::cli

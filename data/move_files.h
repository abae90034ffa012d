// Moving files into other folders, all or none.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace mtyolo::data {

struct FileMove {
  std::string from, to;
};

// Moves all files, making folders as needed: renames them, or, on another device, copies, flushes and then
// deletes; never replaces a file. Refused before the first move: a file that is missing or a link, one that
// has two targets, a target that is there, a disk (that of `record`) without room (Error{kData,
// "move_refused"}, Error{"disk_full"}). What is to be moved is written to the file `record` before the first
// move, a line "from<TAB>to" each; it stays, so that every file can be found.
//
// `after_each` runs after each move with the number of moves done. When it or a move throws, all files are
// moved back, `record` is removed, and the error is thrown again; files that cannot be moved back are listed
// in `record`, which Error{kRuntime, "move_incomplete"} names.
void move_files(const std::vector<FileMove>& moves, const std::string& record,
                const std::function<void(size_t done)>& after_each = {});

}  // namespace mtyolo::data

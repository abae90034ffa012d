#include "data/move_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/move_file.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const char* message, const std::string& path, const char* suggestion = "") {
  throw Error({ExitCode::kData, "move_refused", message, path, {}, suggestion});
}

// Folders of `path` that are not there yet, the innermost first.
std::vector<fs::path> missing_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  for (fs::path folder = path.parent_path(); !folder.empty() && !fs::exists(folder);
       folder = folder.parent_path())
    missing.push_back(folder);
  return missing;
}

// Of the nearest folder that is there.
dev_t device_of(fs::path folder) {
  struct stat info {};
  while (::stat(folder.empty() ? "." : folder.c_str(), &info) != 0 && !folder.empty())
    folder = folder.parent_path();
  return info.st_dev;
}

void check_moves(const std::vector<FileMove>& moves) {
  std::set<std::string> sources, targets;
  uint64_t bytes = 0;
  for (const FileMove& move : moves) {
    struct stat info {};
    if (::lstat(move.from.c_str(), &info) != 0) refuse("is not there", move.from);
    if (S_ISLNK(info.st_mode)) refuse("is a link, which is not moved", move.from, "copy or link it instead");
    if (!S_ISREG(info.st_mode)) refuse("is not a regular file", move.from);
    const std::string real = fs::canonical(move.from).string();
    if (!sources.insert(real).second) refuse("is wanted in two places", move.from, "copy or link it instead");
    if (!targets.insert(move.to).second) refuse("two files would have this name", move.to);
    if (fs::exists(fs::symlink_status(move.to))) refuse("is there already", move.to);
    for (const std::string& path : {move.from, move.to})
      if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
        refuse("a name with control bytes cannot stand in a list", path);
    if (info.st_dev != device_of(fs::path(move.to).parent_path())) bytes += uint64_t(info.st_size);
  }
  if (bytes == 0) return;
  const auto missing = missing_folders(moves.front().to);
  check_free_space(missing.empty() ? moves.front().to : missing.back().string(), bytes);
}

std::string record_text(const std::vector<FileMove>& moves) {
  std::string text;
  for (const FileMove& move : moves)
    text += fs::absolute(move.from).string() + "\t" + fs::absolute(move.to).string() + "\n";
  return text;
}

// The files that could not be moved back.
std::vector<FileMove> move_back(const std::vector<FileMove>& moves, size_t done) {
  std::vector<FileMove> left;
  for (size_t i = done; i-- > 0;) {
    try {
      move_file(moves[i].to, moves[i].from);
    } catch (const Error&) {
      left.insert(left.begin(), moves[i]);
    }
  }
  return left;
}

[[noreturn]] void fail_incomplete(const std::vector<FileMove>& left, const std::string& record,
                                  const std::string& reason) {
  std::string place = "listed in " + quoted(record);
  try {
    write_file_atomically(record, record_text(left));
  } catch (const Error&) {  // the record written before the first move has these files and more
    place = "among those listed in " + quoted(record);
  }
  throw Error({ExitCode::kRuntime,
               "move_incomplete",
               fmt::format("{}; {} files could not be moved back, the first: {} is now {}", reason,
                           left.size(), quoted(left[0].from), quoted(left[0].to)),
               {},
               {},
               "they are " + place + ": from, tab, to"});
}

}  // namespace

void move_files(const std::vector<FileMove>& moves, const std::string& record,
                const std::function<void(size_t)>& after_each) {
  check_moves(moves);
  if (fs::exists(fs::symlink_status(record)))
    refuse("is the record of an earlier move", record, "give another folder, or put the record elsewhere");
  std::vector<fs::path> made;
  size_t done = 0;
  try {
    write_file_atomically(record, record_text(moves));
    for (const FileMove& move : moves) {
      const auto missing = missing_folders(move.to);
      made.insert(made.begin(), missing.begin(), missing.end());
      make_folders(fs::path(move.to).parent_path().string());
      move_file(move.from, move.to);
      ++done;
      if (after_each) after_each(done);
    }
  } catch (const std::exception& error) {
    const std::vector<FileMove> left = move_back(moves, done);
    if (!left.empty()) fail_incomplete(left, record, error.what());
    std::error_code ignored;
    fs::remove(record, ignored);
    for (const fs::path& folder : made) fs::remove(folder, ignored);  // only if it is empty
    const auto* known = dynamic_cast<const Error*>(&error);
    if (known == nullptr) throw;
    ErrorInfo info = known->info();
    info.suggestion +=
        fmt::format("{}all {} files moved so far are back", info.suggestion.empty() ? "" : "; ", done);
    throw Error(std::move(info));
  }
}

}  // namespace mtyolo::data

#include "data/move_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/fault.h"
#include "core/file.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const char* message, const std::string& path, const char* suggestion = "") {
  throw Error({ExitCode::kData, "move_refused", message, path, {}, suggestion});
}

bool is_there(const std::string& path) { return fs::exists(fs::symlink_status(path)); }

// 0, or the reason as errno; EXDEV: on another device.
int rename_new(const std::string& from, const std::string& to) {
  if (const int error = fault::at("rename").error; error != 0) return error;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (is_there(to)) return EEXIST;  // file systems that do not know the flag
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

// The first file keeps its place and the second is not there when this throws. Renames, or, on another
// device, copies, flushes and then deletes; never replaces a file.
void move_file(const std::string& from, const std::string& to) {
  const int error = rename_new(from, to);
  if (error == 0) return;
  const auto give_up = [&](int reason) {
    throw Error({ExitCode::kRuntime,
                 "file_write",
                 fmt::format("cannot move to {}: {}", quoted(to), std::strerror(reason)),
                 from,
                 {},
                 "the file is where it was"});
  };
  if (error != EXDEV) give_up(error);
  if (is_there(to)) give_up(EEXIST);
  const std::string bytes = read_file(from, SIZE_MAX);
  try {
    write_file_atomically(to, bytes);
  } catch (const Error&) {
    ::unlink(to.c_str());  // whole, but perhaps not yet safe on the disk
    throw;
  }
  std::error_code ignored;  // a copy of other rights or age is still whole
  fs::permissions(to, fs::status(from, ignored).permissions(), ignored);
  const auto written = fs::last_write_time(from, ignored);
  if (!ignored) fs::last_write_time(to, written, ignored);
  if (::unlink(from.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(to.c_str());
  give_up(reason);
}

// Folders of `path` that are not there yet, the innermost first.
std::vector<fs::path> missing_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  for (fs::path folder = path.parent_path(); !folder.empty() && !fs::exists(folder);
       folder = folder.parent_path())
    missing.push_back(folder);
  return missing;
}

void check_moves(const std::vector<FileMove>& moves, const std::string& record) {
  std::set<std::string> sources, targets;
  struct stat target_disk {};
  ::stat(fs::absolute(record).parent_path().c_str(), &target_disk);
  uint64_t bytes = 0;
  if (is_there(record))
    refuse("is the record of an earlier move", record, "give another folder, or put the record elsewhere");
  for (const FileMove& move : moves) {
    struct stat info {};
    if (::lstat(move.from.c_str(), &info) != 0) refuse("is not there", move.from);
    if (S_ISLNK(info.st_mode)) refuse("is a link, which is not moved", move.from, "copy or link it instead");
    if (!S_ISREG(info.st_mode)) refuse("is not a regular file", move.from);
    const std::string real = fs::canonical(move.from).string();
    if (!sources.insert(real).second) refuse("is wanted in two places", move.from, "copy or link it instead");
    if (!targets.insert(move.to).second) refuse("two files would have this name", move.to);
    if (is_there(move.to)) refuse("is there already", move.to);
    for (const std::string& path : {move.from, move.to})
      if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
        refuse("a name with control bytes cannot stand in a list", path);
    if (info.st_dev != target_disk.st_dev) bytes += uint64_t(info.st_size);
  }
  if (bytes > 0) check_free_space(record, bytes);
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
    } catch (const std::exception&) {
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
  check_moves(moves, record);
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

// A folder of what later starts of the program can use again; all of it is safe to delete at any time.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>

#include "core/file.h"

namespace mtyolo {

class CacheFolder {
 public:
  CacheFolder() = default;  // keeps nothing
  // Empty: keeps nothing. Made when something is kept.
  explicit CacheFolder(std::string path) : path_(std::move(path)) {}
  explicit operator bool() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  // What tells this state of a file from any other that it or another file had: device, inode, size and the
  // times of its last changes, as git and ccache judge. Empty without a folder or a file, and within two
  // seconds of a change, because another one could follow in the same tick of the clock.
  std::string state_of(const std::string& path, std::time_t now = std::time(nullptr)) const;
  // Whether this build of the program found all sums of a file in this state right; and that it did. Failing
  // to keep that is no error.
  bool was_checked(const std::string& state) const;
  void mark_checked(const std::string& state) const;

  // Removes files whose names begin with `prefix`, those used longest ago first, until one of `bytes` fits:
  // they may have 2 GiB together and be 64.
  void make_room(const std::string& prefix, uint64_t bytes) const;

 private:
  std::string mark_of(const std::string& state) const;
  std::string path_;
};

// What tells this build of the program from others.
std::string this_program();

// A file as it was mapped, and its state_of then.
struct FileInState {
  std::shared_ptr<const MappedFile> file;
  std::string state;
};

}  // namespace mtyolo

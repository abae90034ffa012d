// Files: read whole, map, write atomically. Only regular files are opened for reading (reliability.md section
// 2): pipes, devices, folders and endless links are refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mtyolo {

// The bytes of a file mapped read-only. Throws Error{"file_*"} with `exit` unset (kRuntime) when it cannot be
// opened, is not a regular file, or is empty-but-unreadable. An empty file maps to an empty span.
class MappedFile {
 public:
  static std::shared_ptr<MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Takes its pages out of the process, whose memory they count as; reading brings them back.
  void release_pages() const;
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// The whole file, at most `limit_bytes` (else Error{"file_too_large"}).
std::string read_file(const std::string& path, size_t limit_bytes);
std::string read_stdin(size_t limit_bytes);

// Whether the sums of a file are checked, or known to be right (core/cache_folder.h).
enum class Checksums { kCheck, kKnown };

// Threads worth starting to check so many bytes: all cores, one for little.
int checking_threads(size_t bytes);

// Writes to a temporary name in the same folder, fsyncs and renames: readers see the old file or the new one,
// never a part. Throws Error{"file_write"} and leaves the old file.
void write_file_atomically(const std::string& path, std::string_view bytes);

// The same for large content in parts: write to stream(), then commit(). Without commit nothing remains.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  uint64_t position() const { return position_; }
  // Makes it durable and gives it its name; `before_rename` runs in between.
  void commit(const std::function<void()>& before_rename = {});

 private:
  [[noreturn]] void fail_write(const char* what);
  std::string path_, temporary_;
  int descriptor_ = -1;
  uint64_t position_ = 0;
};

// A file that grows while others read it: event files, logs. What write() appends is there whole or not at
// all.
class AppendFile {
 public:
  explicit AppendFile(const std::string& path);  // made when missing; throws Error{"file_write"}
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  // Throws Error{"file_write"} (disk full) and then cuts the file back to what it was.
  void write(std::string_view bytes);

 private:
  std::string path_;
  int descriptor_ = -1;
};

void make_folders(const std::string& path);  // like mkdir -p; throws Error

// Throws Error{"disk_full"} when the folder of `path` has less than 1.1 x `bytes` free.
void check_free_space(const std::string& path, uint64_t bytes);
// Gives the file a second name without copying; a file that had this name is replaced at once.
void link_file(const std::string& path, const std::string& second_name);
// Removes what atomic writes of dead processes left in a folder; returns how many files that were.
int remove_stale_temporaries(const std::string& folder);

// An exclusive lock (flock) on a file that is made when it is missing; held as long as the object lives, and
// gone with the process however it ends.
class FileLock {
 public:
  // Throws Error{"locked"} when another process still holds it after so long: one that was killed may need a
  // moment to be gone.
  explicit FileLock(const std::string& path, double wait_seconds = 0);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace mtyolo

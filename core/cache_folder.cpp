#include "core/cache_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/sha256.h"

namespace mtyolo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "checked-";
constexpr uint64_t kMostBytes = uint64_t(2) << 30;
constexpr size_t kMostFiles = 64;

}  // namespace

std::string CacheFolder::state_of(const std::string& path, std::time_t now) const {
  constexpr time_t kSettled = 2;  // s
  struct stat s {};
  if (path_.empty() || ::stat(path.c_str(), &s) != 0) return {};
  if (std::max(s.st_mtim.tv_sec, s.st_ctim.tv_sec) + kSettled > now) return {};
  return fmt::format("{}.{} {} {}.{:09} {}.{:09}", s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec,
                     s.st_mtim.tv_nsec, s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
}

std::string CacheFolder::mark_of(const std::string& state) const {
  const std::string text = this_program() + " " + state;
  return file(kMark + sha256_hex(std::as_bytes(std::span(text))));
}

bool CacheFolder::was_checked(const std::string& state) const {
  std::error_code error;
  return !state.empty() && fs::exists(mark_of(state), error);
}

void CacheFolder::mark_checked(const std::string& state) const {
  if (state.empty()) return;
  try {
    make_folders(path_);
    make_room(kMark, 0);
    write_file_atomically(mark_of(state), "");
  } catch (const Error&) {  // the next start checks again
  } catch (const fs::filesystem_error&) {
  }
}

void CacheFolder::make_room(const std::string& prefix, uint64_t bytes) const {
  std::vector<std::pair<fs::file_time_type, fs::directory_entry>> files;
  for (const fs::directory_entry& file : fs::directory_iterator(path_))
    if (file.path().filename().string().starts_with(prefix)) files.emplace_back(file.last_write_time(), file);
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < files.size(); ++i) {
    bytes += files[i].second.file_size();
    if (bytes > kMostBytes || i + 1 >= kMostFiles) fs::remove(files[i].second.path());
  }
}

std::string this_program() {
  struct stat s {};
  return ::stat("/proc/self/exe", &s) == 0
             ? fmt::format("{} {}.{}", s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec)
             : fmt::format("process {}", ::getpid());  // fits no other start
}

}  // namespace mtyolo

#include "core/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/fault.h"
#include "core/text.h"
#include "core/thread_pool.h"

namespace mtyolo {
namespace {

[[noreturn]] void fail_file(const std::string& path, const std::string& what, const char* code,
                            const std::string& suggestion = {}) {
  throw Error({ExitCode::kRuntime, code, what, path, {}, suggestion});
}

// A file descriptor that closes itself.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Opens a regular file for reading and returns its size.
size_t open_regular(const std::string& path, Descriptor& d) {
  errno = fault::at("open").error;
  if (errno == 0) d.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (d.fd < 0)
    fail_file(path, errno == ENOENT ? "no such file" : std::string("cannot open: ") + std::strerror(errno),
              errno == ENOENT ? "file_not_found" : "file_open");
  struct stat info {};
  if (::fstat(d.fd, &info) != 0)
    fail_file(path, std::string("cannot stat: ") + std::strerror(errno), "file_open");
  if (S_ISDIR(info.st_mode)) fail_file(path, "is a folder, expected a file", "file_kind");
  if (!S_ISREG(info.st_mode)) fail_file(path, "is not a regular file", "file_kind");
  return size_t(info.st_size);
}

}  // namespace

std::shared_ptr<MappedFile> MappedFile::open(const std::string& path) {
  Descriptor d;
  const size_t size = open_regular(path, d);
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->size_ = size;
  if (size == 0) return file;
  void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, d.fd, 0);
  if (p == MAP_FAILED) fail_file(path, std::string("cannot map: ") + std::strerror(errno), "file_open");
  file->data_ = static_cast<const std::byte*>(p);
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release_pages() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

std::string read_file(const std::string& path, size_t limit_bytes) {
  Descriptor d;
  const size_t size = open_regular(path, d);
  if (size > limit_bytes)
    fail_file(path, fmt::format("has {} bytes, the limit is {}", size, limit_bytes), "file_too_large");
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(d.fd, text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_file(path, std::string("cannot read: ") + std::strerror(errno), "file_read");
    if (n == 0) fail_file(path, "became shorter while it was read", "file_read");
    done += size_t(n);
  }
  return text;
}

std::string read_stdin(size_t limit_bytes) {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_file("-", std::string("cannot read: ") + std::strerror(errno), "file_read");
    if (n == 0) return text;
    text.append(buffer, size_t(n));
    if (text.size() > limit_bytes)
      fail_file("-", fmt::format("more than {} bytes", limit_bytes), "file_too_large");
  }
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  const std::filesystem::path p(path);
  const auto folder = p.has_parent_path() ? p.parent_path() : std::filesystem::path(".");
  const std::string stem =
      (folder / ("." + p.filename().string() + ".tmp." + std::to_string(::getpid()))).string();
  // A killed process leaves its temporary file behind, and in a container the next one has the same number.
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts && descriptor_ < 0; ++attempt) {
    temporary_ = attempt == 0 ? stem : stem + "." + std::to_string(attempt);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) fail_file(path_, std::string("cannot write: ") + std::strerror(errno), "file_write");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::fail_write(const char* what) {
  fail_file(path_, fmt::format("{}: {}", what, std::strerror(errno)), "file_write",
            "the old file, if any, is unchanged");
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  const fault::Effect effect = fault::at("write");
  if (effect.half) bytes = bytes.first(bytes.size() / 2);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_write("cannot write");
    done += size_t(n);
  }
  errno = effect.half ? ENOSPC : effect.error;
  if (errno != 0) fail_write("cannot write");
  position_ += bytes.size();
}

void AtomicFile::commit(const std::function<void()>& before_rename) {
  errno = fault::at("fsync").error;
  if (errno != 0 || ::fsync(descriptor_) != 0) fail_write("cannot flush to disk");
  if (before_rename) before_rename();
  const int fd = std::exchange(descriptor_, -1);
  const int fault_error = fault::at("rename").error;
  if (::close(fd) != 0 || (errno = fault_error) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    errno = reason;
    fail_write("cannot rename");
  }
  const std::filesystem::path p(path_);
  Descriptor folder{
      ::open(p.has_parent_path() ? p.parent_path().c_str() : ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY)};
  if (folder.fd >= 0 && ::fsync(folder.fd) != 0 && errno != EINVAL)
    fail_write("cannot flush the folder to disk");
}

int checking_threads(size_t bytes) { return bytes < (size_t(1) << 20) ? 1 : available_cores(); }

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AppendFile::AppendFile(const std::string& path)
    : path_(path), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail_file(path_, std::string("cannot write: ") + std::strerror(errno), "file_write");
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::write(std::string_view bytes) {
  const off_t start = ::lseek(descriptor_, 0, SEEK_END);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int reason = errno;
      const bool cut = start >= 0 && ::ftruncate(descriptor_, start) == 0;
      fail_file(path_, std::string("cannot write: ") + std::strerror(reason), "file_write",
                cut ? "the file is as it was before" : "its end may be damaged");
    }
    done += size_t(n);
  }
}

void make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail_file(path, "cannot create the folder: " + error.message(), "file_write");
}

void check_free_space(const std::string& path, uint64_t bytes) {
  const std::filesystem::path p(path);
  const std::string folder = p.has_parent_path() ? p.parent_path().string() : ".";
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return;  // the write itself will tell
  const double available = double(info.f_bavail) * double(info.f_frsize), needed = 1.1 * double(bytes);
  if (available < needed)
    fail_file(path,
              fmt::format("needs {:.0f} MiB, the disk has {:.0f} MiB left", needed / (1 << 20),
                          available / (1 << 20)),
              "disk_full", "make room; the old file, if any, is unchanged");
}

void link_file(const std::string& path, const std::string& second_name) {
  const std::filesystem::path p(second_name);
  const std::string temporary =
      (p.parent_path() / ("." + p.filename().string() + ".tmp." + std::to_string(::getpid()))).string();
  ::unlink(temporary.c_str());
  bool there = ::link(path.c_str(), temporary.c_str()) == 0;
  std::error_code copy_error;
  if (!there && (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK))  // no hard links here
    there = std::filesystem::copy_file(path, temporary, copy_error);
  if (!there || ::rename(temporary.c_str(), second_name.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    fail_file(second_name, fmt::format("cannot link to {}: {}", path, std::strerror(reason)), "file_write");
  }
  ::unlink(temporary.c_str());  // rename leaves both names when they were the same file already
}

int remove_stale_temporaries(const std::string& folder) {
  int removed = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kMark = ".tmp.";
    const size_t mark = name.rfind(kMark);
    if (!name.starts_with('.') || mark == std::string::npos) continue;
    const std::string_view rest = std::string_view(name).substr(mark + kMark.size());
    const auto process = parse_int(rest.substr(0, rest.find('.')));
    if (!process || *process < 1 || *process == ::getpid()) continue;
    const bool alive = ::kill(pid_t(*process), 0) == 0 || errno == EPERM;
    if (!alive && ::unlink(entry.path().c_str()) == 0) ++removed;
  }
  return removed;
}

FileLock::FileLock(const std::string& path, double wait_seconds) {
  Descriptor d{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
  if (d.fd < 0) fail_file(path, std::string("cannot lock: ") + std::strerror(errno), "file_write");
  constexpr double kPause = 0.05;
  bool held = ::flock(d.fd, LOCK_EX | LOCK_NB) == 0;
  for (; !held && wait_seconds > 0; wait_seconds -= kPause) {
    std::this_thread::sleep_for(std::chrono::duration<double>(kPause));
    held = ::flock(d.fd, LOCK_EX | LOCK_NB) == 0;
  }
  if (!held) fail_file(path, "another process holds the lock", "locked", "wait until it ends, or stop it");
  descriptor_ = std::exchange(d.fd, -1);
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace mtyolo

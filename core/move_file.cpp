#include "core/move_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/fault.h"
#include "core/file.h"

namespace mtyolo {
namespace {

bool is_there(const std::string& path) {
  return std::filesystem::exists(std::filesystem::symlink_status(path));
}

// 0, or the reason as errno; EXDEV: on another device.
int rename_new(const std::string& from, const std::string& to) {
  if (const int error = fault::at("rename").error; error != 0) return error;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (is_there(to)) return EEXIST;  // file systems that do not know the flag
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

void move_file(const std::string& from, const std::string& to) {
  const int error = rename_new(from, to);
  if (error == 0) return;
  const auto refuse = [&](int reason) {
    throw Error({ExitCode::kRuntime,
                 "file_write",
                 fmt::format("cannot move to {}: {}", quoted(to), std::strerror(reason)),
                 from,
                 {},
                 "the file is where it was"});
  };
  if (error != EXDEV) refuse(error);
  if (is_there(to)) refuse(EEXIST);
  try {
    write_file_atomically(to, read_file(from, SIZE_MAX));
  } catch (const Error&) {
    ::unlink(to.c_str());  // whole, but perhaps not yet safe on the disk
    throw;
  }
  std::error_code ignored;  // a copy of other rights or age is still whole
  std::filesystem::permissions(to, std::filesystem::status(from, ignored).permissions(), ignored);
  const auto written = std::filesystem::last_write_time(from, ignored);
  if (!ignored) std::filesystem::last_write_time(to, written, ignored);
  if (::unlink(from.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(to.c_str());
  refuse(reason);
}

}  // namespace mtyolo

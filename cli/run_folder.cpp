#include "cli/run_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"

namespace mtyolo::cli {

std::string make_run_folder(const CommonOptions& common) {
  constexpr int kMaxRuns = 100000;
  const std::filesystem::path base = std::filesystem::path(common.project) / common.name;
  if (common.exist_ok) {
    make_folders(base.string());
    return base.string();
  }
  if (base.has_parent_path()) make_folders(base.parent_path().string());
  for (int run = 1; run <= kMaxRuns; ++run) {
    const std::string path = run == 1 ? base.string() : base.string() + std::to_string(run);
    if (::mkdir(path.c_str(), 0777) == 0) return path;
    if (errno != EEXIST)
      throw Error({ExitCode::kRuntime,
                   "file_write",
                   fmt::format("cannot create the run folder: {}", std::strerror(errno)),
                   path,
                   {},
                   "give a writable --project"});
  }
  throw Error({ExitCode::kRuntime,
               "file_write",
               fmt::format("{} run folders exist already", kMaxRuns),
               base.string(),
               {},
               "give another --name or --project"});
}

std::string pictures_line(const std::vector<std::string>& paths) {
  if (paths.empty()) return "";
  std::string names;
  for (const std::string& path : paths) names += " " + std::filesystem::path(path).filename().string();
  return fmt::format("pictures in {}:{}\n", std::filesystem::path(paths[0]).parent_path().string(), names);
}

}  // namespace mtyolo::cli

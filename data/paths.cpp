#include "data/paths.h"

#include <algorithm>
#include <filesystem>

namespace mtyolo::data {

namespace fs = std::filesystem;

std::string with_slashes(std::string_view path) {
  std::string text(path);
  std::replace(text.begin(), text.end(), '\\', '/');
  return text;
}

std::string folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

std::vector<std::string> path_candidates(const std::string& path, const std::vector<std::string>& folders,
                                         PathOrigin origin) {
  if (fs::path(path).is_absolute()) return {path};
  std::vector<std::string> candidates;
  const auto add = [&](const std::string& relative) {
    for (const std::string& folder : folders) {
      std::string whole = (fs::path(folder) / relative).lexically_normal().string();
      if (std::find(candidates.begin(), candidates.end(), whole) == candidates.end())
        candidates.push_back(std::move(whole));
    }
  };
  add(path);
  std::string_view rest = path;
  while (rest.starts_with("./")) rest.remove_prefix(2);
  const size_t before = rest.size();
  while (rest.starts_with("../")) rest.remove_prefix(3);
  if (rest.size() != before && !rest.empty()) add(std::string(rest));
  if (origin == PathOrigin::kListLine && rest.starts_with("data/")) add(std::string(rest.substr(5)));
  return candidates;
}

std::string first_existing(const std::vector<std::string>& candidates) {
  std::error_code ignored;
  for (const std::string& c : candidates)
    if (fs::exists(c, ignored)) return c;
  return {};
}

}  // namespace mtyolo::data

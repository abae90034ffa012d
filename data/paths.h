// Where paths written in data files are looked for (data.md 1.6, reliability.md Y6).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtyolo::data {

inline constexpr size_t kMaxPathBytes = 4095;

// The path with '/' for every '\': files written on Windows.
std::string with_slashes(std::string_view path);

// The places where `path` may be, in order: itself if absolute, else below each of `folders`, and last the
// same without leading "../" (and, for lines of list files, without a leading "data/").
enum class PathOrigin { kYaml, kListLine };
std::vector<std::string> path_candidates(const std::string& path, const std::vector<std::string>& folders,
                                         PathOrigin origin);

// The first candidate that exists, or "".
std::string first_existing(const std::vector<std::string>& candidates);

std::string folder_of(const std::string& path);  // "." for a bare name

}  // namespace mtyolo::data

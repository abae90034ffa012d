#include "data/sources.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <unordered_set>

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/paths.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxListBytes = size_t{256} << 20;  // reliability.md Y6
constexpr std::array<std::string_view, 9> kImageEndings{"bmp",  "jpg", "jpeg", "png", "tif",
                                                        "tiff", "dng", "webp", "mpo"};
constexpr std::array<std::string_view, 9> kVideoEndings{"mov", "avi", "mp4", "mpg", "mpeg",
                                                        "m4v", "wmv", "mkv", "webm"};
constexpr std::array<std::string_view, 6> kStreams{"rtsp://",  "rtmp://",  "http://",
                                                   "https://", "rtsps://", "udp://"};

std::string ending_of(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : lower_case(std::string_view(name).substr(dot + 1));
}

bool has_video_ending(const std::string& path) {
  return std::find(kVideoEndings.begin(), kVideoEndings.end(), ending_of(path)) != kVideoEndings.end();
}

bool is_stream(const std::string& source) {
  const std::string lower = lower_case(source.substr(0, 8));
  return std::any_of(kStreams.begin(), kStreams.end(),
                     [&](std::string_view s) { return lower.starts_with(s); });
}

bool is_camera(const std::string& source) {
  return !source.empty() &&
         std::all_of(source.begin(), source.end(), [](char c) { return c >= '0' && c <= '9'; });
}

[[noreturn]] void refuse(const std::string& source, const std::string& what, const std::string& suggestion) {
  throw Error({ExitCode::kUsage, "not_built", mtyolo::quoted(source) + " is " + what, {}, {}, suggestion});
}

// Kinds of sources that this version does not read (conventions.md: refused with exit 2).
void refuse_moving_pictures(const std::string& source) {
  if (is_stream(source))
    refuse(source, "a stream or web address, and those are not built in", "save it as an image file first");
  if (is_camera(source))
    refuse(source, "a camera, and cameras are not built in", "for a file of that name write ./" + source);
  if (has_video_ending(source))
    refuse(source, "a video, and video is not built in", "cut it into images first");
}

[[noreturn]] void fail_source(const char* code, const std::string& message,
                              const std::string& suggestion = {}) {
  throw Error({ExitCode::kData, code, message, {}, {}, suggestion});
}

std::string similar_name(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_of(path), error))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  const std::string nearest = nearest_name(fs::path(path).filename().string(), names);
  return nearest.empty()
             ? ""
             : "did you mean " + mtyolo::quoted((fs::path(path).parent_path() / nearest).string()) + "?";
}

// Keeps the image files among `paths`, sorted.
std::vector<std::string> keep_images(std::vector<std::string> paths, const std::string& source) {
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> images;
  size_t videos = 0, others = 0;
  std::error_code ignored;
  for (std::string& path : paths) {
    if (fs::path(path).filename().string().starts_with(".") || fs::is_directory(path, ignored)) continue;
    if (has_image_ending(path)) images.push_back(std::move(path));
    else if (has_video_ending(path)) ++videos;
    else ++others;
  }
  if (videos > 0) log::warning("{}: {} videos left out, video is not built in", source, videos);
  if (others > 0) log::info("{}: {} files left out that do not end like an image", source, others);
  if (images.empty())
    fail_source("no_images", "no images found in " + mtyolo::quoted(source),
                "names ending in bmp jpg jpeg png tif tiff dng webp mpo are taken");
  return images;
}

std::vector<std::string> list_folder(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    paths.push_back(entry->path().string());
  if (error) fail_source("folder_read", "cannot list " + mtyolo::quoted(folder) + ": " + error.message());
  return keep_images(std::move(paths), folder);
}

struct GlobResult {
  glob_t found{};
  ~GlobResult() { ::globfree(&found); }
};

std::vector<std::string> list_pattern(const std::string& pattern) {
  GlobResult result;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &result.found) != 0)
    fail_source("no_images", "no file matches " + mtyolo::quoted(pattern));
  return keep_images({result.found.gl_pathv, result.found.gl_pathv + result.found.gl_pathc}, pattern);
}

std::vector<std::string> expand(const std::string& source) {
  if (source == kStdinSource) return {source};
  std::error_code ignored;
  const fs::file_status status = fs::status(source, ignored);
  if (fs::is_directory(status)) return list_folder(source);
  refuse_moving_pictures(source);
  if (!fs::exists(status)) {
    if (source.find_first_of("*?[") != std::string::npos) return list_pattern(source);
    fail_source("source_not_found", "no such file or folder: " + mtyolo::quoted(source),
                similar_name(source));
  }
  if (ending_of(source) != "txt") return {source};
  std::vector<std::string> lines = read_path_list(source);
  if (lines.empty()) fail_source("no_images", "the list " + mtyolo::quoted(source) + " names no image");
  for (const std::string& line : lines) refuse_moving_pictures(line);
  return lines;
}

// Where a line of the list in `folder` is; as written, if nowhere.
std::string resolve_line(const std::string& line, const std::string& folder) {
  if (is_stream(line) || is_camera(line)) return line;
  const std::string slashed = with_slashes(line);
  const std::string found = first_existing(path_candidates(slashed, {folder, "."}, PathOrigin::kListLine));
  return found.empty() ? slashed : found;
}

}  // namespace

bool has_image_ending(const std::string& path) {
  return std::find(kImageEndings.begin(), kImageEndings.end(), ending_of(path)) != kImageEndings.end();
}

std::vector<std::string> read_path_list(const std::string& path) {
  return parse_path_list(read_file(path, kMaxListBytes), path);
}

std::vector<std::string> parse_path_list(std::string_view text, const std::string& file) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const auto refuse_line = [&](size_t number, const std::string& message) {
    throw Error({ExitCode::kData, "path_list", message, file, "line " + std::to_string(number),
                 "expected one path per line"});
  };
  std::vector<std::string> paths;
  std::unordered_set<std::string> seen;
  const std::string folder = folder_of(file);
  size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty()) continue;
    if (line.size() > kMaxPathBytes)
      refuse_line(number, fmt::format("{} bytes, a path has at most {}", line.size(), kMaxPathBytes));
    const bool control =
        std::any_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (control || !is_valid_utf8(line))
      refuse_line(number, mtyolo::quoted(line) + " is not a path: control bytes or no UTF-8");
    std::string resolved = resolve_line(std::string(line), folder);
    if (seen.insert(resolved).second) paths.push_back(std::move(resolved));
  }
  return paths;
}

std::vector<std::string> list_sources(const std::vector<std::string>& sources) {
  std::vector<std::string> out;
  std::unordered_set<std::string> seen;
  for (const std::string& source : sources)
    for (std::string& path : expand(source))
      if (seen.insert(path).second) out.push_back(std::move(path));
  return out;
}

Image read_source(const std::string& source) {
  if (source != kStdinSource) return read_image(source);
  const std::string bytes = read_stdin(kMaxImageFileBytes);
  return decode_image(std::as_bytes(std::span(bytes)), source);
}

}  // namespace mtyolo::data

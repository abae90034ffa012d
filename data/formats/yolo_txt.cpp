#include "data/formats/yolo_txt.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/fault.h"
#include "core/text.h"
#include "data/sources.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

struct Row {
  const std::string& file;
  size_t line;
  std::vector<std::string_view> tokens;

  Error error(const char* code, std::string message, std::string suggestion = {}) const {
    return label_error(file, "line " + std::to_string(line), code, std::move(message), std::move(suggestion));
  }
};

void check_is_text(std::string_view text, const std::string& file) {
  if (text.size() > kMaxLabelBytes)
    throw label_error(file, "", "label_limits",
                      fmt::format("{} bytes, a label file has at most {}", text.size(), kMaxLabelBytes));
  const auto odd = std::find_if(text.begin(), text.end(), [](char c) {
    const auto b = static_cast<unsigned char>(c);
    return b >= 0x7f || (b < 0x20 && c != '\t' && c != '\n' && c != '\r');
  });
  if (odd == text.end()) return;
  throw label_error(file, fmt::format("byte {}", odd - text.begin()), "label_text",
                    fmt::format("byte {:#04x} is no ASCII text, expected numbers and blanks",
                                unsigned(static_cast<unsigned char>(*odd))),
                    "save the labels as plain text (ASCII or UTF-8)");
}

std::vector<std::string_view> tokens_of(std::string_view line) {
  std::vector<std::string_view> tokens;
  while (true) {
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return tokens;
    const size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    tokens.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

int class_of(const Row& row, int classes) {
  const auto value = parse_double(row.tokens[0]);
  if (!value)
    throw row.error("label_number", quoted(row.tokens[0]) + " is no class number",
                    "the class is a whole number, not a name");
  if (*value != std::floor(*value) || *value < 0 || *value >= classes)
    throw row.error("label_class", fmt::format("class {:g}, expected a whole number in 0..{} (nc {})", *value,
                                               classes - 1, classes));
  return int(*value);
}

float fraction_of(const Row& row, size_t column) {
  const auto value = parse_double(row.tokens[column]);
  if (!value)
    throw row.error("label_number", fmt::format("column {}: {} is not a finite number", column + 1,
                                                quoted(row.tokens[column])));
  if (*value < 0 || *value > 1 + double(kFrameSlack))
    throw row.error("label_range", fmt::format("column {}: {:g} is outside 0..1", column + 1, *value),
                    "coordinates are fractions of the image's width and height");
  return float(std::min(*value, 1.0));
}

// The box around the points (data.md 1.3).
Label polygon_label(const Row& row) {
  Label label;
  for (size_t i = 1; i + 1 < row.tokens.size(); i += 2)
    label.polygon.push_back({fraction_of(row, i), fraction_of(row, i + 1)});
  const auto [left, right] = std::minmax_element(label.polygon.begin(), label.polygon.end(),
                                                 [](const Point& a, const Point& b) { return a.x < b.x; });
  const auto [top, bottom] = std::minmax_element(label.polygon.begin(), label.polygon.end(),
                                                 [](const Point& a, const Point& b) { return a.y < b.y; });
  label.x = (left->x + right->x) / 2;
  label.y = (top->y + bottom->y) / 2;
  label.w = right->x - left->x;
  label.h = bottom->y - top->y;
  return label;
}

Label label_of(const Row& row, int classes) {
  const size_t n = row.tokens.size();
  if (n != 5 && (n < 7 || n % 2 == 0))
    throw row.error("label_columns",
                    fmt::format("{} columns, expected 5 (class cx cy w h), or an odd count from 7 (class and "
                                "points of a polygon)",
                                n));
  const int cls = class_of(row, classes);
  Label label;
  if (n == 5) {
    label.x = fraction_of(row, 1);
    label.y = fraction_of(row, 2);
    label.w = fraction_of(row, 3);
    label.h = fraction_of(row, 4);
  } else {
    label = polygon_label(row);
  }
  label.cls = cls;
  return label;
}

Finding entry_finding(const char* check_id, Finding::Severity severity, std::string message,
                      const std::string& path) {
  return {check_id, severity, std::move(message), path};
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

// Files that lie among images on purpose.
bool is_companion(const fs::path& path) {
  static const std::set<std::string> kEndings{".txt", ".xml", ".json",  ".yaml",
                                              ".yml", ".csv", ".cache", ".md"};
  return kEndings.contains(lower_case(path.extension().string()));
}

class YoloTxt : public LabelSource {
 public:
  explicit YoloTxt(int classes) : classes_(classes) {}

  Labels labels(size_t index, int, int) const override {
    const std::string& file = images[index].label;
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
      Labels none;
      none.state = Labels::State::kMissing;
      return none;
    }
    if (fault::at("label").error != 0) fail(ExitCode::kData, "fault", "cannot be read, on purpose");
    return parse_yolo_labels(read_data_file(file, kMaxLabelBytes), file, classes_);
  }

 private:
  int classes_;
};

}  // namespace

std::string yolo_label_path(const std::string& image) {
  constexpr std::string_view kFolder = "images/";
  std::string label = image;
  for (size_t at = label.rfind(kFolder); at != std::string::npos; at = label.rfind(kFolder, at - 1)) {
    if (at == 0 || label[at - 1] == '/') {
      label.replace(at, kFolder.size(), "labels/");
      break;
    }
  }
  const size_t slash = label.rfind('/'), dot = label.rfind('.');
  if (dot != std::string::npos && (slash == std::string::npos || dot > slash)) label.erase(dot);
  return label + ".txt";
}

Labels parse_yolo_labels(std::string_view text, const std::string& file, int classes) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  check_is_text(text, file);
  Labels out;
  size_t number = 0, rows = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    Row row{file, ++number, {}};
    if (end > kMaxLabelLine)
      throw row.error("label_limits", fmt::format("{} bytes, a line has at most {}", end, kMaxLabelLine));
    row.tokens = tokens_of(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + (text.substr(end).starts_with("\r\n") ? 2 : 1)));
    if (row.tokens.empty()) continue;
    if (++rows > kMaxLabelRows)
      throw row.error("label_limits", fmt::format("more than {} rows", kMaxLabelRows));
    out.add(label_of(row, classes));
  }
  out.state = rows == 0 ? Labels::State::kEmpty : Labels::State::kFound;
  out.drop_repeated();
  return out;
}

std::vector<std::string> list_image_folder(const std::string& folder, std::vector<Finding>& findings) {
  std::vector<std::string> paths, others;
  std::set<fs::path> seen;  // folders behind links: a link may lead back up
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::follow_directory_symlink, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    const fs::path& path = entry->path();
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      const bool again = entry->is_symlink(ignored) && !seen.insert(fs::canonical(path, ignored)).second;
      if (is_hidden(path) || again) entry.disable_recursion_pending();
    } else if (!is_hidden(path)) {
      if (has_image_ending(path.string())) paths.push_back(path.string());
      else if (!is_companion(path)) others.push_back(path.string());
    }
  }
  if (error) throw label_error(folder, "", "data_path", "cannot read the folder: " + error.message());
  std::sort(others.begin(), others.end());
  for (const std::string& path : others)
    findings.push_back(entry_finding("image_ending", Finding::Severity::kWarning,
                                     quoted(path) + " does not end like an image and is left out", path));
  return paths;
}

std::unique_ptr<LabelSource> open_yolo_txt(const DataCfg& cfg, const EntryCfg& entry) {
  auto source = std::make_unique<YoloTxt>(int(cfg.names_of(entry).size()));
  std::error_code ignored;
  std::vector<std::string> paths;
  if (fs::is_directory(entry.path, ignored)) {
    paths = list_image_folder(entry.path, source->findings);
  } else {
    for (std::string& path : read_path_list(entry.path)) {
      if (has_image_ending(path)) {
        paths.push_back(std::move(path));
        continue;
      }
      source->findings.push_back(entry_finding(
          "image_ending", Finding::Severity::kWarning,
          fmt::format("{}: {} does not end like an image and is left out", entry.path, quoted(path)), path));
    }
  }
  for (std::string& path : paths) {
    std::string label = yolo_label_path(path);
    source->images.push_back({std::move(path), std::move(label)});
  }
  return source;
}

}  // namespace mtyolo::data

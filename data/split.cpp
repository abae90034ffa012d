#include "data/split.h"

#include <regex.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/file.h"
#include "core/random.h"
#include "data/formats/label_source.h"
#include "data/formats/yolo_txt.h"
#include "data/move_files.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kParts = 3;
constexpr std::array<const char*, kParts> kPartNames{"train", "val", "test"};
constexpr uint32_t kShuffleStream = 0x53504c54;

using PartNeeds = std::array<double, kParts>;

// Images that stay together, and how many of them have each class (the last: no box at all).
struct Unit {
  std::vector<size_t> images;
  std::map<size_t, int> classes;
};

std::vector<Unit> units_of(const Dataset& set, const SplitParams& params, size_t classes) {
  std::vector<std::string> paths;
  for (int64_t i = 0; i < set.size(); ++i) paths.push_back(set.sample(i).path);
  const auto groups = params.group_by.empty() ? paths : groups_of(paths, params.group_by);
  std::map<std::string, Unit> by_group;
  for (size_t i = 0; i < paths.size(); ++i) {
    Unit& unit = by_group[groups[i]];
    unit.images.push_back(i);
    std::vector<bool> seen(classes + 1, false);
    const Sample& s = set.sample(int64_t(i));
    for (const Label& l : s.labels) seen.at(size_t(l.cls)) = true;
    seen[classes] = s.labels.empty();
    for (size_t c = 0; c <= classes; ++c)
      if (seen[c]) ++unit.classes[c];
  }
  std::vector<Unit> units;
  for (auto& [group, unit] : by_group) units.push_back(std::move(unit));
  RandomStream random(params.seed, kShuffleStream, 0);
  for (size_t i = units.size(); i > 1; --i) std::swap(units[i - 1], units[size_t(random.below(int64_t(i)))]);
  return units;
}

class Sharer {
 public:
  Sharer(const std::vector<Unit>& units, const SplitParams& params, size_t classes, size_t images)
      : units_(units), ratios_(params.ratios), of_unit_(units.size(), -1), class_needs_(classes + 1) {
    for (size_t p = 0; p < kParts; ++p) needs_[p] = ratios_[p] * double(images);
    std::vector<double> totals(classes + 1);
    for (const Unit& unit : units)
      for (const auto& [c, count] : unit.classes) totals[c] += count;
    for (size_t c = 0; c <= classes; ++c)
      for (size_t p = 0; p < kParts; ++p) class_needs_[c][p] = ratios_[p] * totals[c];
  }

  void share_by_class() {
    while (true) {
      std::vector<int64_t> left(class_needs_.size());
      for (size_t u = 0; u < units_.size(); ++u)
        if (of_unit_[u] < 0)
          for (const auto& [c, count] : units_[u].classes) left[c] += count;
      size_t rarest = left.size();
      for (size_t c = 0; c < left.size(); ++c)
        if (left[c] > 0 && (rarest == left.size() || left[c] < left[rarest])) rarest = c;
      if (rarest == left.size()) return;
      for (size_t u = 0; u < units_.size(); ++u)
        if (of_unit_[u] < 0 && units_[u].classes.contains(rarest)) assign(u, class_needs_[rarest]);
    }
  }
  void share_rest() {
    for (size_t u = 0; u < units_.size(); ++u)
      if (of_unit_[u] < 0) assign(u, needs_);
  }
  const std::vector<int>& of_unit() const { return of_unit_; }

 private:
  // To the part that lacks most of what `needs` counts, then most images.
  void assign(size_t unit, const PartNeeds& needs) {
    size_t best = kParts;
    for (size_t p = 0; p < kParts; ++p) {
      if (ratios_[p] <= 0) continue;
      if (best == kParts || std::pair(needs[p], needs_[p]) > std::pair(needs[best], needs_[best])) best = p;
    }
    of_unit_[unit] = int(best);
    needs_[best] -= double(units_[unit].images.size());
    for (const auto& [c, count] : units_[unit].classes) class_needs_[c][best] -= count;
  }

  const std::vector<Unit>& units_;
  std::array<double, kParts> ratios_;
  std::vector<int> of_unit_;
  PartNeeds needs_{};
  std::vector<PartNeeds> class_needs_;
};

// A compiled POSIX expression; it comes from the command line, never from a file.
class Pattern {
 public:
  explicit Pattern(const std::string& expression) {
    const int error = ::regcomp(&compiled_, expression.c_str(), REG_EXTENDED);
    if (error == 0) return;
    std::array<char, 256> text{};
    ::regerror(error, &compiled_, text.data(), text.size());
    fail(ExitCode::kUsage, "usage", "--group-by {}: {}", quoted(expression), text.data());
  }
  ~Pattern() { ::regfree(&compiled_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  // Empty if nothing matches.
  std::string group(const std::string& path) const {
    std::array<regmatch_t, 2> match{};
    if (::regexec(&compiled_, path.c_str(), match.size(), match.data(), 0) != 0) return {};
    const regmatch_t& m = match[1].rm_so >= 0 ? match[1] : match[0];
    return path.substr(size_t(m.rm_so), size_t(m.rm_eo - m.rm_so));
  }

 private:
  regex_t compiled_{};
};

[[noreturn]] void fail_name(const char* message, const std::string& path) {
  throw Error(
      {ExitCode::kData, "split_name", message, path, {}, "--mode list leaves the images where they are"});
}

bool is_there(const std::string& path) { return fs::exists(fs::symlink_status(path)); }

// The images of all parts and their label files, each with its place below `out`. A label lies where the
// image's name says, so none may appear beside an image it does not belong to.
std::vector<FileMove> plan_files(const Dataset& set, const std::vector<int>& parts, const std::string& out) {
  std::vector<FileMove> files;
  std::set<std::string> images;
  std::map<std::string, std::string> labels;  // target -> source
  for (int64_t i = 0; i < set.size(); ++i) {
    const std::string& path = set.sample(i).path;
    const fs::path folder = fs::path(out) / "images" / kPartNames[size_t(parts[size_t(i)])];
    const std::string image = (folder / fs::path(path).filename()).string();
    if (!images.insert(image).second) fail_name("two images would have this name", image);
    const std::string from = yolo_label_path(path), label = yolo_label_path(image);
    for (const std::string& target : {image, label})
      if (is_there(target)) fail_name("is there already", target);
    files.push_back({path, image});
    const auto [at, is_new] = labels.emplace(label, from);
    std::error_code ignored;
    const bool has_label = fs::exists(from, ignored);
    if (!is_new && at->second != from && (has_label || fs::exists(at->second, ignored)))
      fail_name("images of several folders would share this label file", label);
    if (is_new && has_label) files.push_back({from, label});
  }
  return files;
}

void place_file(const FileMove& file, SplitMode mode) {
  if (mode == SplitMode::kCopy)
    return write_file_atomically(file.to, read_data_file(file.from, kMaxImageFileBytes));
  std::error_code error;
  const fs::path target = fs::canonical(file.from, error);
  if (!error) fs::create_symlink(target, file.to, error);
  if (error)
    throw Error({ExitCode::kRuntime, "file_write", "cannot link: " + error.message(), file.to, {}, {}});
}

std::string list_line(const std::string& path, const std::string& out) {
  const std::string line = fs::proximate(path, out).string();
  if (std::any_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    throw Error(
        {ExitCode::kData, "split_name", "a name with control bytes cannot stand in a list", path, {}, {}});
  return line + "\n";
}

std::string yaml_of(const DataCfg& cfg, const std::array<std::string, kParts>& entries) {
  std::string text;
  for (size_t p = 0; p < kParts; ++p)
    if (!entries[p].empty()) text += fmt::format("{}: {}\n", kPartNames[p], entries[p]);
  // A JSON text is a quoted YAML text.
  text += fmt::format("nc: {}\nnames: {}\n", cfg.names.size(), nlohmann::json(cfg.names).dump());
  if (!cfg.heads.empty()) text += "heads:\n";
  for (const HeadCfg& head : cfg.heads)
    text += fmt::format("  {}: {{classes: [{}], weight: {}}}\n", nlohmann::json(head.name).dump(),
                        fmt::join(head.classes, ", "), head.weight);
  return text;
}

}  // namespace

std::vector<std::string> groups_of(const std::vector<std::string>& paths, const std::string& expression) {
  const Pattern pattern(expression);
  std::vector<std::string> groups;
  for (const std::string& path : paths) {
    const std::string group = pattern.group(path);
    groups.push_back(group.empty() ? "path " + path : "group " + group);
  }
  return groups;
}

std::vector<int> share_out(const Dataset& set, const SplitParams& params, size_t classes) {
  const std::vector<Unit> units = units_of(set, params, classes);
  Sharer sharer(units, params, classes, size_t(set.size()));
  if (params.stratify) sharer.share_by_class();
  sharer.share_rest();
  std::vector<int> parts(size_t(set.size()));
  for (size_t u = 0; u < units.size(); ++u)
    for (const size_t i : units[u].images) parts[i] = sharer.of_unit()[u];
  return parts;
}

void write_split(const Dataset& set, const std::vector<int>& parts, const DataCfg& cfg, SplitMode mode,
                 const std::string& out, const std::function<void()>& between) {
  make_folders(out);
  std::vector<FileMove> files;
  if (mode != SplitMode::kList) files = plan_files(set, parts, out);
  std::array<std::string, kParts> entries, lists;
  for (size_t p = 0; p < kParts; ++p)
    if (std::count(parts.begin(), parts.end(), int(p)) > 0)
      entries[p] = std::string(mode == SplitMode::kList ? "" : "images/") + kPartNames[p] +
                   (mode == SplitMode::kList ? ".txt" : "");
  const auto write_yaml = [&] {
    write_file_atomically((fs::path(out) / "data.yaml").string(), yaml_of(cfg, entries));
  };
  if (mode == SplitMode::kMove)
    return move_files(files, (fs::path(out) / "moved.txt").string(), [&](size_t done) {
      if (done == files.size()) write_yaml();
      else if (between) between();
    });
  for (const FileMove& file : files) {
    make_folders(fs::path(file.to).parent_path().string());
    place_file(file, mode);
  }
  for (int64_t i = 0; i < set.size() && mode == SplitMode::kList; ++i)
    lists[size_t(parts[size_t(i)])] += list_line(set.sample(i).path, out);
  for (size_t p = 0; p < kParts; ++p)
    if (!lists[p].empty()) write_file_atomically((fs::path(out) / entries[p]).string(), lists[p]);
  write_yaml();
}

}  // namespace mtyolo::data

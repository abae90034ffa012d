#include "cli/data_findings.h"

#include <algorithm>
#include <set>

#include "core/text.h"

namespace mtyolo::cli {
namespace {

using data::Finding;

// Every Finding::check_id; tests/repo compares.
const std::vector<std::string> kCheckIds{
    // what two splits or a split as a whole may have
    "class_unused", "coco_image", "data_refused", "no_labels", "split_overlap",
    // files that cannot be read
    "file_kind", "file_not_found", "file_open", "file_read", "file_too_large",
    // images
    "image_corrupt", "image_empty", "image_ending", "image_format", "image_limits", "image_missing",
    "image_repeated", "image_scans", "image_small", "image_truncated", "image_unknown",
    // labels
    "label_area", "label_box", "label_class", "label_clipped", "label_columns", "label_empty", "label_head",
    "label_limits", "label_missing", "label_name", "label_number", "label_range", "label_repeated",
    "label_shared", "label_size", "label_text", "voc_xml"};

bool holds(const std::vector<std::string>& list, const std::string& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

// Images that stand in two splits: what is learned by heart looks well validated.
void note_overlaps(std::vector<CheckedSplit>& splits) {
  for (size_t a = 0; a < splits.size(); ++a)
    for (size_t b = a + 1; b < splits.size(); ++b) {
      std::set<std::string> paths;
      for (const data::Sample& s : splits[a].scan.samples) paths.insert(s.path);
      int count = 0;
      std::string first;
      for (const data::Sample& s : splits[b].scan.samples)
        if (paths.contains(s.path) && count++ == 0) first = s.path;
      if (count > 0)
        splits[b].scan.report.findings.push_back(
            {"split_overlap", Severity::kWarning,
             fmt::format("{} of {} images are also in {}, the first: {}", count,
                         splits[b].scan.samples.size(), splits[a].name, first),
             first, count});
    }
}

void note_unused_classes(const data::DataCfg& cfg, data::ScannedSplit& scan) {
  std::vector<bool> used(cfg.names.size(), false);
  for (const data::Sample& s : scan.samples)
    for (const data::Label& l : s.labels) used[size_t(l.cls)] = true;
  std::vector<std::string> unused;
  for (size_t c = 0; c < used.size(); ++c)
    if (!used[c]) unused.push_back(quoted(cfg.names[c]));
  if (unused.empty()) return;
  const size_t count = unused.size();
  unused.resize(std::min<size_t>(count, 10));
  scan.report.findings.push_back({"class_unused", Severity::kInfo,
                                  fmt::format("{} of {} classes have no box: {}{}", count, used.size(),
                                              fmt::join(unused, ", "), count > unused.size() ? " ..." : ""),
                                  cfg.file, int(count)});
}

}  // namespace

const char* name_of(Severity severity) {
  return severity == Severity::kError ? "error" : severity == Severity::kWarning ? "warning" : "info";
}

void CheckFilter::check() const {
  const auto refuse = [](std::string message, const char* suggestion) {
    throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, suggestion});
  };
  if (!only.empty() && !skip.empty())
    refuse("--only and --skip were both given", "--only alone says what is looked at");
  for (const auto& [flag, ids] : {std::pair("--only", &only), std::pair("--skip", &skip)})
    for (const std::string& id : *ids)
      if (!holds(kCheckIds, id))
        refuse(fmt::format("{}: unknown check {}{}", flag, quoted(id), did_you_mean(id, kCheckIds)),
               "the checks are named as data check prints them: label_class, image_corrupt ...");
}

bool CheckFilter::shows(const std::string& check_id) const {
  return only.empty() ? !holds(skip, check_id) : holds(only, check_id);
}

void note_whole_set(const data::DataCfg& cfg, std::vector<CheckedSplit>& splits) {
  for (auto& [name, entries, scan] : splits) {
    if (scan.fatal)
      scan.report.findings.push_back({scan.fatal->code, Severity::kError, scan.fatal->message, cfg.file});
    note_unused_classes(cfg, scan);
  }
  note_overlaps(splits);
}

CheckResult group_findings(const std::vector<CheckedSplit>& splits, const CheckFilter& filter) {
  CheckResult result;
  for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kInfo})
    for (const CheckedSplit& split : splits) {
      std::map<std::string, size_t> index;
      for (const Finding& f : split.scan.report.findings) {
        if (f.severity != severity) continue;
        if (!filter.shows(f.check_id)) {
          ++result.hidden;
          continue;
        }
        const auto [at, is_new] = index.emplace(f.check_id, result.groups.size());
        if (is_new) result.groups.push_back({f.check_id, split.name, severity, 0, {}, {}});
        FindingGroup& group = result.groups[at->second];
        group.count += f.count;
        group.paths.push_back(f.path);
        group.messages.push_back(f.message);
        ++result.totals[severity];
      }
    }
  return result;
}

}  // namespace mtyolo::cli

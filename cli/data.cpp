// mtyolo data: check and stats of a data set (conventions.md sections 2, 3 and 7).
#include <algorithm>
#include <map>
#include <set>

#include "cli/output.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/dataset_stats.h"
#include "data/scan.h"

namespace mtyolo::cli {
namespace {

using data::Finding;
using Severity = Finding::Severity;

[[noreturn]] void fail_usage(std::string message, std::string suggestion) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

const char* name_of(Severity severity) {
  return severity == Severity::kError ? "error" : severity == Severity::kWarning ? "warning" : "info";
}

struct Part {
  std::string name;
  data::ScannedSplit scan;
};

// Findings of one kind in one split.
struct FindingGroup {
  std::string check_id, split;
  Severity severity = Severity::kInfo;
  int64_t count = 0;
  std::vector<std::string> paths, messages;
};

// In the order errors, warnings, notes; within each as they were met.
std::vector<FindingGroup> group_findings(const std::vector<Part>& parts) {
  std::vector<FindingGroup> groups;
  for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kInfo})
    for (const Part& part : parts) {
      std::map<std::string, size_t> index;
      for (const Finding& f : part.scan.report.findings) {
        if (f.severity != severity) continue;
        const auto [at, is_new] = index.emplace(f.check_id, groups.size());
        if (is_new) groups.push_back({f.check_id, part.name, severity, 0, {}, {}});
        FindingGroup& group = groups[at->second];
        group.count += f.count;
        group.paths.push_back(f.path);
        group.messages.push_back(f.message);
      }
    }
  return groups;
}

// Images that stand in two splits: what is learned by heart looks well validated.
void note_overlaps(std::vector<Part>& parts) {
  for (size_t a = 0; a < parts.size(); ++a)
    for (size_t b = a + 1; b < parts.size(); ++b) {
      std::set<std::string> paths;
      for (const data::Sample& s : parts[a].scan.samples) paths.insert(s.path);
      int count = 0;
      std::string first;
      for (const data::Sample& s : parts[b].scan.samples)
        if (paths.contains(s.path) && count++ == 0) first = s.path;
      if (count > 0)
        parts[b].scan.report.findings.push_back(
            {"split_overlap", Severity::kWarning,
             fmt::format("{} of {} images are also in {}, the first: {}", count, parts[b].scan.samples.size(),
                         parts[a].name, first),
             first, count});
    }
}

void note_unused_classes(const data::DataCfg& cfg, Part& part) {
  std::vector<bool> used(cfg.names.size(), false);
  for (const data::Sample& s : part.scan.samples)
    for (const data::Label& l : s.labels) used[size_t(l.cls)] = true;
  std::vector<std::string> unused;
  for (size_t c = 0; c < used.size(); ++c)
    if (!used[c]) unused.push_back(quoted(cfg.names[c]));
  if (unused.empty()) return;
  const size_t count = unused.size();
  unused.resize(std::min<size_t>(count, 10));
  part.scan.report.findings.push_back(
      {"class_unused", Severity::kInfo,
       fmt::format("{} of {} classes have no box: {}{}", count, used.size(), fmt::join(unused, ", "),
                   count > unused.size() ? " ..." : ""),
       cfg.file, int(count)});
}

std::string sizes_text(const data::SizeCounts& s) {
  return fmt::format("{:>8}{:>8}{:>8}", s.small, s.medium, s.large);
}

Json sizes_json(const data::SizeCounts& s) {
  return {{"small", s.small}, {"medium", s.medium}, {"large", s.large}};
}

Json quantiles_json(const data::Quantiles& q) {
  return {{"min", q[0]}, {"p5", q[1]}, {"median", q[2]}, {"p95", q[3]}, {"max", q[4]}};
}

std::string quantiles_text(const char* what, const data::Quantiles& q) {
  return fmt::format("  {:<20}{:>10.4g}{:>10.4g}{:>10.4g}{:>10.4g}{:>10.4g}\n", what, q[0], q[1], q[2], q[3],
                     q[4]);
}

class Data : public Verb {
 public:
  void register_options(Options& o) override {
    o.positionals(
        {"check|stats DATA.yaml", "check: every image and label; stats: what the set consists of", true, {}},
        words_);
    o.toggle("fast", fast_, "check: read the headers of images only");
    o.toggle("strict", strict_, "check: warnings count as errors");
    o.text("fix-list", fix_list_,
           "check: write the files with errors or warnings to this file; nothing is edited");
  }

  ExitCode run(const CommonOptions& common) override {
    const std::string usage = "write mtyolo data check DATA.yaml or mtyolo data stats DATA.yaml";
    const std::string& what = words_[0];
    if (what == "convert") fail_usage("data convert is not part of this version", usage);
    const std::vector<std::string> known{"check", "stats"};
    if (what != "check" && what != "stats")
      fail_usage(fmt::format("data: unknown word {}{}", quoted(what), did_you_mean(what, known)), usage);
    if (words_.size() != 2) fail_usage(fmt::format("data {}: expected one DATA.yaml", what), usage);
    if (what == "stats" && (fast_ || strict_ || !fix_list_.empty()))
      fail_usage("--fast, --strict and --fix-list belong to data check", usage);
    cfg_ = data::read_data_cfg(words_[1], data::DataCfgUse::kGivenPaths);
    return what == "check" ? check(common) : stats(common);
  }

 private:
  std::vector<std::pair<std::string, const std::vector<std::string>*>> splits() const {
    std::vector<std::pair<std::string, const std::vector<std::string>*>> out;
    for (const auto& [name, entries] :
         {std::pair("train", &cfg_.train), std::pair("val", &cfg_.val), std::pair("test", &cfg_.test)})
      if (!entries->empty()) out.emplace_back(name, entries);
    return out;
  }

  ExitCode check(const CommonOptions& common) {
    data::DatasetParams params;
    params.threads = common.threads;
    params.read_every_image = !fast_;
    std::vector<Part> parts;
    for (const auto& [name, entries] : splits()) {
      Part part{name, data::scan_split(cfg_, *entries, params)};
      if (part.scan.fatal && part.scan.fatal->code == "no_images") throw Error(*part.scan.fatal);
      if (part.scan.fatal)
        part.scan.report.findings.push_back(
            {part.scan.fatal->code, Severity::kError, part.scan.fatal->message, cfg_.file});
      note_unused_classes(cfg_, part);
      parts.push_back(std::move(part));
    }
    note_overlaps(parts);
    const std::vector<FindingGroup> groups = group_findings(parts);
    std::map<Severity, int64_t> totals;
    for (const FindingGroup& g : groups) totals[g.severity] += int64_t(g.paths.size());
    if (!fix_list_.empty()) write_fix_list(groups);
    if (common.json) print_json(check_document(parts, groups, totals));
    else print(check_text(parts, groups, totals));
    const bool failed = totals[Severity::kError] > 0 || (strict_ && totals[Severity::kWarning] > 0);
    return failed ? ExitCode::kRuntime : ExitCode::kDone;
  }

  void write_fix_list(const std::vector<FindingGroup>& groups) const {
    std::set<std::string> paths;
    for (const FindingGroup& g : groups)
      if (g.severity != Severity::kInfo) paths.insert(g.paths.begin(), g.paths.end());
    std::string text;
    for (const std::string& path : paths) text += path + "\n";
    write_file_atomically(fix_list_, text);
  }

  static std::string check_text(const std::vector<Part>& parts, const std::vector<FindingGroup>& groups,
                                std::map<Severity, int64_t>& totals) {
    constexpr size_t kShown = 20;
    std::string text;
    for (const Part& part : parts)
      text += fmt::format("{}: {}\n", part.name, data::summary_of(part.scan.report));
    for (const FindingGroup& g : groups) {
      text += fmt::format("{} {} in {}: {}\n", name_of(g.severity), g.check_id, g.split, g.count);
      for (size_t i = 0; i < g.messages.size() && i < kShown; ++i) text += "  " + g.messages[i] + "\n";
      if (g.messages.size() > kShown) text += fmt::format("  ... and {} more\n", g.messages.size() - kShown);
    }
    return text + fmt::format("{} errors, {} warnings, {} notes\n", totals[Severity::kError],
                              totals[Severity::kWarning], totals[Severity::kInfo]);
  }

  static Json check_document(const std::vector<Part>& parts, const std::vector<FindingGroup>& groups,
                             std::map<Severity, int64_t>& totals) {
    Json d = json_document("data_check");
    Json splits = Json::object();
    for (const Part& part : parts) {
      const data::ScanReport& r = part.scan.report;
      splits[part.name] = {{"images", r.images}, {"found", r.found},     {"missing", r.missing},
                           {"empty", r.empty},   {"refused", r.refused}, {"boxes", r.boxes}};
    }
    d["summary"] = {{"errors", totals[Severity::kError]},
                    {"warnings", totals[Severity::kWarning]},
                    {"infos", totals[Severity::kInfo]},
                    {"splits", splits}};
    d["findings"] = Json::array();
    for (const FindingGroup& g : groups)
      d["findings"].push_back({{"check_id", g.check_id},
                               {"severity", name_of(g.severity)},
                               {"message", g.messages[0]},
                               {"split", g.split},
                               {"count", g.count},
                               {"paths", g.paths},
                               {"details", {{"messages", g.messages}}}});
    return d;
  }

  ExitCode stats(const CommonOptions& common) {
    data::DatasetParams params;
    params.threads = common.threads;
    params.read_every_image = false;
    Json d = json_document("data_stats");
    d["splits"] = Json::object();
    std::string text;
    for (const auto& [name, entries] : splits()) {
      const auto set = data::open_dataset(cfg_, *entries, params);
      data::log_report(name, set->report());
      const data::DatasetStats s = data::stats_of(*set, cfg_.names.size());
      d["splits"][name] = stats_json(s);
      text += stats_text(name, s);
    }
    if (common.json) print_json(d);
    else print(text);
    return ExitCode::kDone;
  }

  Json stats_json(const data::DatasetStats& s) const {
    Json classes = Json::array();
    for (size_t c = 0; c < s.classes.size(); ++c)
      classes.push_back({{"id", c},
                         {"name", cfg_.names[c]},
                         {"images", s.classes[c].images},
                         {"boxes", s.classes[c].boxes},
                         {"sizes", sizes_json(s.classes[c].sizes)}});
    return {{"images", s.images},
            {"backgrounds", s.backgrounds},
            {"boxes", s.boxes},
            {"polygons", s.polygons},
            {"difficult", s.difficult},
            {"crowds", s.crowds},
            {"sizes", sizes_json(s.sizes)},
            {"aspect", quantiles_json(s.aspect)},
            {"boxes_per_image", quantiles_json(s.boxes_per_image)},
            {"image_width", quantiles_json(s.width)},
            {"image_height", quantiles_json(s.height)},
            {"classes", classes}};
  }

  std::string stats_text(const std::string& split, const data::DatasetStats& s) const {
    std::string text =
        fmt::format("{}: {} images, {} without labels, {} boxes ({} polygons, {} difficult, {} crowds)\n",
                    split, s.images, s.backgrounds, s.boxes, s.polygons, s.difficult, s.crowds);
    text +=
        fmt::format("  {:<20}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "", "min", "5 %", "median", "95 %", "max");
    text += quantiles_text("image width", s.width) + quantiles_text("image height", s.height) +
            quantiles_text("boxes per image", s.boxes_per_image) +
            quantiles_text("box width / height", s.aspect);
    text += fmt::format("  {:<20}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "class", "images", "boxes", "small", "medium",
                        "large");
    text += fmt::format("  {:<20}{:>8}{:>8}{}\n", "all", s.images, s.boxes, sizes_text(s.sizes));
    for (size_t c = 0; c < s.classes.size(); ++c)
      if (s.classes[c].boxes > 0)
        text += fmt::format("  {:<20}{:>8}{:>8}{}\n", fmt::format("{} {}", c, cfg_.names[c]),
                            s.classes[c].images, s.classes[c].boxes, sizes_text(s.classes[c].sizes));
    return text;
  }

  std::vector<std::string> words_;
  bool fast_ = false, strict_ = false;
  std::string fix_list_;
  data::DataCfg cfg_;
};

}  // namespace

std::unique_ptr<Verb> make_data() { return std::make_unique<Data>(); }

}  // namespace mtyolo::cli

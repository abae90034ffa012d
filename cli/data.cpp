// mtyolo data: check and stats of a data set (conventions.md sections 2, 3 and 7).
#include <algorithm>
#include <set>

#include "cli/data_pictures.h"
#include "cli/output.h"
#include "cli/run_folder.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/dataset_stats.h"

namespace mtyolo::cli {
namespace {

[[noreturn]] void fail_usage(std::string message, std::string suggestion) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
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
    o.list("only", filter_.only, "check: only these checks count and are shown, by the names printed");
    o.list("skip", filter_.skip, "check: these checks do not count");
    o.toggle("plots", plots_, "pictures of labels and findings in a run folder");
  }

  ExitCode run(const CommonOptions& common) override {
    const std::string usage = "write mtyolo data check DATA.yaml or mtyolo data stats DATA.yaml";
    const std::string& what = words_[0];
    if (what == "convert") fail_usage("data convert is not part of this version", usage);
    const std::vector<std::string> known{"check", "stats"};
    if (what != "check" && what != "stats")
      fail_usage(fmt::format("data: unknown word {}{}", quoted(what), did_you_mean(what, known)), usage);
    if (words_.size() != 2) fail_usage(fmt::format("data {}: expected one DATA.yaml", what), usage);
    if (what == "stats" &&
        (fast_ || strict_ || !fix_list_.empty() || !filter_.only.empty() || !filter_.skip.empty()))
      fail_usage("--fast, --strict, --fix-list, --only and --skip belong to data check", usage);
    filter_.check();
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
    std::vector<CheckedSplit> parts;
    for (const auto& [name, entries] : splits()) {
      parts.push_back({name, *entries, data::scan_split(cfg_, *entries, params)});
      if (const auto& fatal = parts.back().scan.fatal; fatal && fatal->code == "no_images")
        throw Error(*fatal);
    }
    note_whole_set(cfg_, parts);
    CheckResult result = group_findings(parts, filter_);
    if (!fix_list_.empty()) write_fix_list(result.groups);
    if (plots_) pictures_ = write_check_pictures(make_run_folder(common), cfg_, parts, result.groups);
    if (common.json) print_json(check_document(parts, result));
    else print(check_text(parts, result) + pictures_line(pictures_));
    const bool failed =
        result.totals[Severity::kError] > 0 || (strict_ && result.totals[Severity::kWarning] > 0);
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

  static std::string check_text(const std::vector<CheckedSplit>& parts, CheckResult& result) {
    constexpr size_t kShown = 20;
    std::string text;
    for (const CheckedSplit& part : parts)
      text += fmt::format("{}: {}\n", part.name, data::summary_of(part.scan.report));
    for (const FindingGroup& g : result.groups) {
      text += fmt::format("{} {} in {}: {}\n", name_of(g.severity), g.check_id, g.split, g.count);
      for (size_t i = 0; i < g.messages.size() && i < kShown; ++i) text += "  " + g.messages[i] + "\n";
      if (g.messages.size() > kShown) text += fmt::format("  ... and {} more\n", g.messages.size() - kShown);
    }
    return text + fmt::format("{} errors, {} warnings, {} notes{}\n", result.totals[Severity::kError],
                              result.totals[Severity::kWarning], result.totals[Severity::kInfo],
                              result.hidden > 0
                                  ? fmt::format(", {} findings of checks left out", result.hidden)
                                  : "");
  }

  Json check_document(const std::vector<CheckedSplit>& parts, CheckResult& result) const {
    Json d = json_document("data_check");
    Json splits = Json::object();
    for (const CheckedSplit& part : parts) {
      const data::ScanReport& r = part.scan.report;
      splits[part.name] = {{"images", r.images}, {"found", r.found},     {"missing", r.missing},
                           {"empty", r.empty},   {"refused", r.refused}, {"boxes", r.boxes}};
    }
    d["summary"] = {{"errors", result.totals[Severity::kError]},
                    {"warnings", result.totals[Severity::kWarning]},
                    {"infos", result.totals[Severity::kInfo]},
                    {"left_out", result.hidden},
                    {"splits", splits}};
    d["findings"] = Json::array();
    for (const FindingGroup& g : result.groups)
      d["findings"].push_back({{"check_id", g.check_id},
                               {"severity", name_of(g.severity)},
                               {"message", g.messages[0]},
                               {"split", g.split},
                               {"count", g.count},
                               {"paths", g.paths},
                               {"details", {{"messages", g.messages}}}});
    if (plots_) d["pictures"] = pictures_;
    return d;
  }

  ExitCode stats(const CommonOptions& common) {
    data::DatasetParams params;
    params.threads = common.threads;
    params.read_every_image = false;
    Json d = json_document("data_stats");
    d["splits"] = Json::object();
    std::string text;
    std::vector<train::SplitBoxes> boxes;
    for (const auto& [name, entries] : splits()) {
      const auto set = data::open_dataset(cfg_, *entries, params);
      data::log_report(name, set->report());
      const data::DatasetStats s = data::stats_of(*set, cfg_.names.size());
      d["splits"][name] = stats_json(s);
      text += stats_text(name, s);
      if (plots_) boxes.push_back({name, train::collect_boxes(*set)});
    }
    if (plots_) pictures_ = write_stats_pictures(make_run_folder(common), cfg_, boxes);
    if (plots_) d["pictures"] = pictures_;
    if (common.json) print_json(d);
    else print(text + pictures_line(pictures_));
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
  bool fast_ = false, strict_ = false, plots_ = false;
  std::string fix_list_;
  CheckFilter filter_;
  std::vector<std::string> pictures_;  // written by --plots
  data::DataCfg cfg_;
};

}  // namespace

std::unique_ptr<Verb> make_data() { return std::make_unique<Data>(); }

}  // namespace mtyolo::cli

// mtyolo split: images shared out to train, val and test.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/output.h"
#include "cli/run_folder.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "core/text.h"
#include "data/dataset.h"
#include "data/formats/format_table.h"
#include "data/split.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_usage(std::string message, std::string suggestion = {}) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

// Class ids that a folder without names may use.
constexpr size_t kUnnamedClasses = 1000;

class Split : public Verb {
 public:
  void register_options(Options& o) override {
    o.positional(
        {"DIR|DATA.yaml", "a folder of images, or all splits of a data set with YOLO labels", true, {"data"}},
        source_);
    o.list("ratios", ratios_, "shares of train, val and test; they sum to 1");
    o.toggle("stratify", params_.stratify, "the images of each class in the same ratios");
    o.text("group-by", params_.group_by,
           "POSIX extended expression: paths whose first (...), or whole match, is equal stay together");
    o.choice("mode", mode_, {"list", "link", "copy", "move"},
             "lists of the images where they are, links, copies, or the files themselves with their labels");
    o.text("out", out_, "folder to write to (a new run folder)");
  }

  ExitCode run(const CommonOptions& common) override {
    params_.ratios = parse_ratios();
    params_.seed = uint64_t(common.seed);
    const auto set = open(common);
    const std::vector<int> parts = data::share_out(*set, params_, cfg_.names.size());
    if (out_.empty()) out_ = make_run_folder(common);
    else if (std::error_code e; fs::exists(out_, e) && !common.exist_ok && !fs::is_empty(out_, e))
      fail_usage(fmt::format("--out {} is there and not empty", mtyolo::quoted(out_)),
                 "--exist-ok writes into it");
    const auto mode = mode_ == "list"   ? data::SplitMode::kList
                      : mode_ == "link" ? data::SplitMode::kLink
                      : mode_ == "copy" ? data::SplitMode::kCopy
                                        : data::SplitMode::kMove;
    data::write_split(*set, parts, cfg_, mode, out_, [] {
      if (interrupted()) fail(ExitCode::kRuntime, "interrupted", "split was told to stop");
    });
    if (mode == data::SplitMode::kMove)
      log::info("{} says from where each file was moved", (fs::path(out_) / "moved.txt").string());
    report(common, parts);
    return ExitCode::kDone;
  }

 private:
  std::array<double, 3> parse_ratios() const {
    std::array<double, 3> out{};
    if (ratios_.size() < 2 || ratios_.size() > 3)
      fail_usage(fmt::format("--ratios has {} numbers, expected two or three", ratios_.size()));
    double sum = 0;
    for (size_t i = 0; i < ratios_.size(); ++i) {
      const auto value = parse_double(ratios_[i]);
      if (!value || *value < 0 || *value > 1)
        fail_usage(fmt::format("--ratios: {} is no number in 0..1", mtyolo::quoted(ratios_[i])));
      out[i] = *value;
      sum += *value;
    }
    if (std::abs(sum - 1) > 1e-6) fail_usage(fmt::format("--ratios sum to {:g}, expected 1", sum));
    return out;
  }

  std::unique_ptr<data::Dataset> open(const CommonOptions& common) {
    std::vector<std::string> entries{source_};
    const bool folder = fs::is_directory(source_);
    if (folder) {
      cfg_.file = source_;
      cfg_.names.resize(kUnnamedClasses);
    } else {
      cfg_ = data::read_data_cfg(source_, data::DataCfgUse::kGivenPaths);
      entries = cfg_.train;
      entries.insert(entries.end(), cfg_.val.begin(), cfg_.val.end());
      entries.insert(entries.end(), cfg_.test.begin(), cfg_.test.end());
    }
    for (const data::EntryCfg& entry : cfg_.details)
      if (!entry.heads.empty() || !entry.classes.empty())
        throw Error(
            {ExitCode::kUsage,
             "usage",
             fmt::format("split: {} is labelled for some heads or classes only", mtyolo::quoted(entry.path)),
             cfg_.file,
             {},
             "split the data set of each head by itself"});
    for (const std::string& entry : entries)
      if (std::string_view(data::format_of(cfg_.entry(entry)).name) != data::kYoloTxtName)
        throw Error({ExitCode::kData, "data_format", "split reads YOLO labels only", entry, {}, {}});
    data::DatasetParams params;
    params.threads = common.threads;
    params.read_every_image = false;
    auto set = data::open_dataset(cfg_, entries, params);
    data::log_report("all", set->report());
    if (folder) name_classes(*set);
    return set;
  }

  void name_classes(const data::Dataset& set) {
    int highest = 0;
    for (int64_t i = 0; i < set.size(); ++i)
      for (const data::Label& l : set.sample(i).labels) highest = std::max(highest, l.cls);
    cfg_.names.clear();
    for (int c = 0; c <= highest; ++c) cfg_.names.push_back(fmt::format("class{}", c));
    log::warning("{} has no names: the {} classes are called class0 to class{}", source_, highest + 1,
                 highest);
  }

  void report(const CommonOptions& common, const std::vector<int>& parts) const {
    Json counts;
    std::string text;
    constexpr std::array kNames{"train", "val", "test"};
    for (int p = 0; p < 3; ++p) {
      const auto n = std::count(parts.begin(), parts.end(), p);
      counts[kNames[size_t(p)]] = n;
      text += fmt::format("{} {}  ", kNames[size_t(p)], n);
    }
    if (!common.json) return print(fmt::format("{}-> {}\n", text, (fs::path(out_) / "data.yaml").string()));
    Json d = json_document("split");
    d["out"] = out_;
    d["images"] = counts;
    print_json(d);
  }

  std::string source_, mode_ = "list", out_;
  std::vector<std::string> ratios_{"0.8", "0.2", "0"};
  data::SplitParams params_;
  data::DataCfg cfg_;
};

}  // namespace

std::unique_ptr<Verb> make_split() { return std::make_unique<Split>(); }

}  // namespace mtyolo::cli

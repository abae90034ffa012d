// mtyolo anchors: anchors that fit the labels of a data set, printed or written into a model description.
#include <cmath>

#include "cli/output.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/text.h"
#include "core/yaml.h"
#include "data/anchors.h"
#include "models/cfg.h"

namespace mtyolo::cli {
namespace {

constexpr size_t kMaxCfgBytes = size_t(16) << 20;

// Anchors by level, as a model description has them.
using Levels = std::vector<std::vector<float>>;

std::vector<data::Size2> flat(const Levels& levels) {
  std::vector<data::Size2> anchors;
  for (const std::vector<float>& level : levels)
    for (size_t i = 0; i + 1 < level.size(); i += 2) anchors.push_back({level[i], level[i + 1]});
  return anchors;
}

// Whole pixels; equal shares of the anchors, smallest first, for `count` levels.
Levels to_levels(const std::vector<data::Size2>& anchors, size_t count) {
  Levels levels(count);
  for (size_t i = 0; i < anchors.size(); ++i)
    for (const double side : anchors[i])
      levels[i * count / anchors.size()].push_back(float(std::max(1.0, std::round(side))));
  return levels;
}

std::string yaml_lines(const Levels& levels) {
  std::string text = "anchors:\n";
  for (const std::vector<float>& level : levels) text += fmt::format("  - [{}]\n", fmt::join(level, ","));
  return text;
}

// `anchors:` of a model description replaced; all other lines stay as written.
std::string replace_anchors(std::string_view text, const std::string& anchors) {
  std::string out;
  bool inside = false;
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with("anchors:")) {
      out += anchors;
      inside = true;
      continue;
    }
    inside = inside && (line.starts_with(' ') || line.starts_with('-'));
    if (!inside) out += std::string(line) + "\n";
  }
  out.pop_back();  // split sees an empty line after the last newline
  return out;
}

class Anchors : public Verb {
 public:
  void register_options(Options& o) override {
    constexpr int kMost = models::kMaxLevels * models::kMaxAnchorsPerLevel;
    o.positional({"DATA", "data.yaml; the labels of its train split count", true, {"data"}}, data_);
    o.integer("n", count_, 1, kMost, "number of anchors (with --write: as many as CFG has)");
    o.image_size("img-size", params_.img_size, "longer side of the network input");
    o.real("thr", params_.threshold, 1.01, 100, "an anchor fits labels up to this ratio of their sides");
    o.integer("gen", params_.generations, 0, 1'000'000, "generations of evolution");
    o.text("write", write_, "CFG that receives the anchors");
    options_ = &o;
  }

  ExitCode run(const CommonOptions& common) override {
    params_.seed = uint64_t(common.seed);
    size_t levels = count_ % 3 == 0 ? size_t(count_) / 3 : 1;
    if (!write_.empty()) levels = read_cfg();
    const data::DataCfg cfg = data::read_data_cfg(data_, data::DataCfgUse::kPaths);
    const auto dataset = data::open_dataset(
        cfg, cfg.train, {.read_every_image = false, .threads = make_context(common).pool().size()});
    data::log_report("train", dataset->report());
    sizes_ = data::label_sizes(*dataset, params_, false);
    const auto found = data::find_anchors(sizes_, count_, params_);
    if (found.empty())
      throw Error({ExitCode::kData,
                   "labels_few",
                   fmt::format("{} labels of 2 pixels and more are wanted for {} anchors, the train split "
                               "has {} labels in all",
                               3 * count_, count_, sizes_.size()),
                   data_,
                   {},
                   "ask for fewer with --n, or keep the anchors of the model description"});
    const Levels anchors = to_levels(found, levels);
    if (!write_.empty()) write_cfg(anchors);
    report(common, anchors);
    return ExitCode::kDone;
  }

 private:
  // Takes the number of anchors from --write, and returns its levels.
  size_t read_cfg() {
    const models::Cfg model = models::cfg_from_file(write_);
    const int count = int(flat(model.anchors).size());
    if (options_->given("n") && count_ != count)
      fail(ExitCode::kUsage, "usage", "--n {} does not fit {}, which has {} anchors", count_, write_, count);
    before_ = flat(model.anchors);
    count_ = count;
    return model.anchors.size();
  }

  void write_cfg(const Levels& anchors) const {
    const std::string text = replace_anchors(read_file(write_, kMaxCfgBytes), yaml_lines(anchors));
    const models::Cfg written = models::cfg_from_document(parse_yaml(text, write_), write_);
    MTYOLO_CHECK(written.anchors == anchors, "{}: its anchors could not be replaced", write_);
    write_file_atomically(write_, text);
  }

  void report(const CommonOptions& common, const Levels& anchors) const {
    const auto metrics = data::measure_anchors(sizes_, flat(anchors), params_.threshold);
    const double fitness = data::anchor_fitness(sizes_, flat(anchors), params_.threshold);
    const auto before = data::measure_anchors(sizes_, before_, params_.threshold);
    if (common.json) {
      Json d = json_document("anchors");
      d["labels"] = sizes_.size();
      d["img_size"] = params_.img_size;
      d["threshold"] = params_.threshold;
      d["anchors"] = anchors;
      d["best_possible_recall"] = metrics.recall;
      d["anchors_per_label"] = metrics.per_label;
      d["fitness"] = fitness;
      if (!write_.empty()) {
        d["written"] = write_;
        d["before"] = {{"best_possible_recall", before.recall}, {"anchors_per_label", before.per_label}};
      }
      return print_json(d);
    }
    const auto line = [](const char* what, const data::AnchorMetrics& m) {
      return fmt::format("{}: best possible recall {:.4f}, {:.2f} anchors per label\n", what, m.recall,
                         m.per_label);
    };
    print(fmt::format("{} labels at {} pixels, ratio of sides up to {:g}\n{}{}{}", sizes_.size(),
                      params_.img_size, params_.threshold, write_.empty() ? "" : line("before", before),
                      line("found", metrics), yaml_lines(anchors)));
  }

  const Options* options_ = nullptr;
  std::string data_, write_;
  int count_ = 9;
  data::AnchorParams params_;
  std::vector<data::Size2> sizes_, before_;  // labels; anchors of CFG
};

}  // namespace

std::unique_ptr<Verb> make_anchors() { return std::make_unique<Anchors>(); }

}  // namespace mtyolo::cli

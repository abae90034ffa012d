// mtyolo anchors: anchors that fit the labels of a data set, printed or written into a model description.
#include <cmath>

#include "cli/output.h"
#include "cli/run_folder.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/text.h"
#include "core/yaml.h"
#include "data/anchors.h"
#include "models/cfg.h"
#include "train/plots/pictures.h"

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
    o.choice("metric", metric_, {"ratio", "iou"},
             "ratio of sides, as training matches labels; or overlap, as in YOLO9000");
    o.toggle("heads", heads_, "anchors for the classes of each head of DATA instead of shared ones");
    o.toggle("plot", plot_, "draw labels and anchors: anchors.png in a run folder");
    o.text("write", write_, "CFG that receives the anchors");
    options_ = &o;
  }

  ExitCode run(const CommonOptions& common) override {
    params_.seed = uint64_t(common.seed);
    params_.metric = metric_ == "iou" ? data::AnchorMetric::kIou : data::AnchorMetric::kRatio;
    if (heads_ && !write_.empty())
      fail(ExitCode::kUsage, "usage",
           "--heads and --write do not go together: a model description has one list of anchors for all "
           "heads");
    size_t levels = count_ % 3 == 0 ? size_t(count_) / 3 : 1;
    if (!write_.empty()) levels = read_cfg();
    const data::DataCfg cfg = data::read_data_cfg(data_, data::DataCfgUse::kPaths);
    if (heads_ && cfg.heads.empty())
      fail(ExitCode::kUsage, "usage", "--heads: {} has no heads", quoted(data_));
    const auto dataset = data::open_dataset(
        cfg, cfg.train, {.read_every_image = false, .threads = make_context(common).pool().size()});
    data::log_report("train", dataset->report());
    std::vector<Fit> fits;
    if (heads_)
      for (const data::HeadCfg& head : cfg.heads)
        fits.push_back(
            fit_anchors(head.name, data::label_sizes(*dataset, params_, false, head.classes), levels));
    else fits.push_back(fit_anchors("", data::label_sizes(*dataset, params_, false), levels));
    if (!write_.empty()) write_cfg(fits[0].anchors);
    std::vector<std::string> pictures;
    if (plot_) pictures = draw(make_run_folder(common), fits);
    report(common, fits, pictures);
    return ExitCode::kDone;
  }

 private:
  // Anchors for the labels of one head, or with head "" for all.
  struct Fit {
    std::string head;
    std::vector<data::Size2> sizes;
    Levels anchors;
    data::AnchorMetrics metrics;
  };

  Fit fit_anchors(const std::string& head, std::vector<data::Size2> sizes, size_t levels) const {
    const auto found = data::find_anchors(sizes, count_, params_);
    if (found.empty())
      throw Error({ExitCode::kData,
                   "labels_few",
                   fmt::format("{} labels of 2 pixels and more are wanted for {} anchors, the train split "
                               "has {} labels {}",
                               3 * count_, count_, sizes.size(), head.empty() ? "in all" : "of head " + head),
                   data_,
                   {},
                   "ask for fewer with --n, or keep the anchors of the model description"});
    const Levels anchors = to_levels(found, levels);
    const auto metrics = data::measure_anchors(sizes, flat(anchors), params_.threshold);
    return {head, std::move(sizes), anchors, metrics};
  }

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

  std::vector<std::string> draw(const std::string& folder, const std::vector<Fit>& fits) const {
    std::vector<std::string> written;
    for (const Fit& fit : fits) {
      train::AnchorFit picture;
      picture.head = fit.head;
      for (const data::Size2& s : fit.sizes) picture.sizes.push_back({float(s[0]), float(s[1])});
      for (const std::vector<float>& level : fit.anchors) {
        picture.anchors.emplace_back();
        for (size_t i = 0; i + 1 < level.size(); i += 2)
          picture.anchors.back().push_back({level[i], level[i + 1]});
      }
      picture.img_size = params_.img_size;
      picture.threshold = params_.threshold;
      picture.best_possible_recall = fit.metrics.recall;
      picture.anchors_above_threshold = fit.metrics.per_label;
      const std::string name = fit.head.empty() ? "anchors.png" : "anchors_" + fit.head + ".png";
      train::write_picture(folder, train::encode_picture(name, train::draw_anchors(picture)));
      written.push_back(folder + "/" + name);
    }
    return written;
  }

  static Json metrics_json(const data::AnchorMetrics& m) {
    return {{"best_possible_recall", m.recall}, {"anchors_per_label", m.per_label}, {"mean_iou", m.mean_iou}};
  }

  Json fit_json(const Fit& fit) const {
    Json d{{"labels", fit.sizes.size()}, {"anchors", fit.anchors}};
    d.update(metrics_json(fit.metrics));
    d["fitness"] = data::anchor_fitness(fit.sizes, flat(fit.anchors), params_);
    return d;
  }

  void report(const CommonOptions& common, const std::vector<Fit>& fits,
              const std::vector<std::string>& pictures) const {
    const auto before = data::measure_anchors(fits[0].sizes, before_, params_.threshold);
    if (common.json) {
      Json d = json_document("anchors");
      d["img_size"] = params_.img_size;
      d["threshold"] = params_.threshold;
      d["metric"] = metric_;
      for (const Fit& fit : fits)
        if (heads_) d["heads"][fit.head] = fit_json(fit);
        else d.update(fit_json(fit));
      if (!write_.empty()) {
        d["written"] = write_;
        d["before"] = metrics_json(before);
      }
      if (plot_) d["pictures"] = pictures;
      return print_json(d);
    }
    const auto line = [](const char* what, const data::AnchorMetrics& m) {
      return fmt::format("{}: best possible recall {:.4f}, {:.2f} anchors per label, mean IoU {:.4f}\n", what,
                         m.recall, m.per_label, m.mean_iou);
    };
    std::string text;
    for (const Fit& fit : fits)
      text += fmt::format("{}{} labels at {} pixels, ratio of sides up to {:g}\n{}{}{}",
                          heads_ ? "head " + fit.head + ": " : "", fit.sizes.size(), params_.img_size,
                          params_.threshold, write_.empty() ? "" : line("before", before),
                          line("found", fit.metrics), yaml_lines(fit.anchors));
    print(text + pictures_line(pictures));
  }

  const Options* options_ = nullptr;
  std::string data_, write_, metric_ = "ratio";
  int count_ = 9;
  bool heads_ = false, plot_ = false;
  data::AnchorParams params_;
  std::vector<data::Size2> before_;  // anchors of CFG
};

}  // namespace

std::unique_ptr<Verb> make_anchors() { return std::make_unique<Anchors>(); }

}  // namespace mtyolo::cli

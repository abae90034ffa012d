// mtyolo val: how well a network does on a labelled set.
#include "cli/backend.h"
#include "cli/class_filter.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/signals.h"
#include "cli/val_model.h"
#include "cli/val_output.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "models/model.h"
#include "train/metrics_report.h"
#include "train/plots/pictures.h"

namespace mtyolo::cli {
namespace {

constexpr double kSpeedConf = 0.25, kSpeedIou = 0.45;
constexpr int kMinStride = 32, kMaxWorkers = 8, kShortTable = 50, kBatchPictures = 3;

class Val : public Verb {
 public:
  void register_options(Options& o) override {
    o.positional({"DATA.yaml", "the data set", true, {"data", "source"}}, data_file_);
    o.text("weights", weights_, "checkpoint (.pt or .safetensors), required");
    o.text("cfg", cfg_, "model description, when the weights bring none");
    o.image_size("img-size", size_, "longest side of the network input");
    o.integer("batch-size", batch_, 1, 1024, "images of one shape that are loaded together");
    add_dtype(o, dtype_);
    o.real("conf-thres", conf_, 0, 1, "confidence threshold");
    o.real("iou-thres", iou_, 0, 1, "IoU threshold of suppression");
    o.integer("max-det", max_det_, 1, 100000, "detections kept per image");
    o.choice("task", task_, {"val", "train", "test", "speed"},
             "the split; speed: val at confidence 0.25 and IoU 0.45, without files");
    o.list("heads", heads_, "only these heads and their classes");
    o.toggle("rect", rect_, "batches of images of like shape, padded little, instead of squares");
    o.choice("metric", metric_, {"coco", "v7", "v5"}, "rule of average precision");
    o.toggle("per-class", per_class_, "class rows also with 50 or more classes");
    o.toggle("augment", augment_, "test-time augmentation: three scales, one mirrored");
    o.toggle("single-cls", single_cls_, "all classes count as one");
    o.toggle("save-json", save_json_, "predictions.json: COCO results");
    o.toggle("save-txt", save_txt_, "labels/<image>.txt: class cx cy w h");
    o.toggle("save-conf", save_conf_, "confidence at the end of the label lines");
    o.toggle("save-hybrid", save_hybrid_, "as --save-txt, the true labels among them; metrics without them");
    o.shorthand("v5-metric", "metric", "v5");
    options_ = &o;
  }

  bool takes_device() const override { return true; }
  ExitCode run(const CommonOptions& common) override {
    settle();
    Context ctx = make_context(common);
    const data::DataCfg cfg = data::read_data_cfg(
        data_file_, task_ == "train" ? data::DataCfgUse::kPaths : data::DataCfgUse::kValPaths);
    load(ctx, cfg, common);
    const auto dataset = open(cfg, ctx.pool().size());
    const std::string folder = wants_folder() ? make_run_folder(common) : "";
    ValOutputParams files{folder, save_json_, save_txt_ || save_hybrid_, save_conf_, {}};
    if (save_json_) files.category_ids = category_ids(cfg, entries(cfg).front(), names_);
    ValOutput output(files, *dataset);
    classes_table_ = {names_, rows_};
    const train::Evaluation e = evaluate(*dataset, cfg, output, folder, ctx.pool().size(), common);
    if (interrupted()) return ExitCode::kRuntime;
    output.finish();
    report(e, folder, common);
    return ExitCode::kDone;
  }

 private:
  void settle() {
    if (weights_.empty())
      throw Error(
          {ExitCode::kUsage, "usage", "val needs the weights to measure", {}, {}, "give --weights FILE.pt"});
    if (task_ != "speed") return;
    if (!options_->given("conf-thres")) conf_ = kSpeedConf;
    if (!options_->given("iou-thres")) iou_ = kSpeedIou;
  }

  bool wants_folder() const { return task_ != "speed" || save_json_ || save_txt_ || save_hybrid_; }

  void load(Context& ctx, const data::DataCfg& cfg, const CommonOptions& common) {
    models::Model model = models::load_model(weights_, cfg_);
    names_ = cfg.names;
    if (!single_cls_) check_same_classes(model.graph, cfg, weights_);
    else if (names_.size() != 1) names_ = {"item"};
    std::vector<std::string> have;
    for (const models::Head& h : model.graph.heads) have.push_back(h.name);
    check_heads(heads_, have);
    if (!heads_.empty()) model.graph = models::prune_heads(model.graph, heads_);
    if (!single_cls_) rows_ = heads_of(model.graph);
    if (!single_cls_ && rows_.size() < have.size())
      for (const data::HeadCfg& h : rows_)
        classes_.insert(classes_.end(), h.classes.begin(), h.classes.end());
    stride_ = std::max(model.graph.max_stride, kMinStride);
    if (size_ % stride_ != 0) {
      size_ = (size_ + stride_ - 1) / stride_ * stride_;
      log::warning("--img-size is not a multiple of {}: {} is used", stride_, size_);
    }
    detector_ = make_detector(ctx, model.graph, model.weights, common, dtype_);
  }

  std::unique_ptr<data::Dataset> open(const data::DataCfg& cfg, int threads) const {
    if (entries(cfg).empty())
      throw Error({ExitCode::kData,
                   "no_split",
                   fmt::format("names no images for --task {}", task_),
                   cfg.file,
                   {},
                   fmt::format("add `{}:` to it or take another --task", task_ == "speed" ? "val" : task_)});
    data::DatasetParams params;
    params.single_cls = single_cls_;
    params.threads = threads;
    auto dataset = data::open_dataset(cfg, entries(cfg), params);
    data::log_report(task_ == "speed" ? "val" : task_, dataset->report());
    return dataset;
  }

  // The split's entries in the data.yaml.
  const std::vector<std::string>& entries(const data::DataCfg& cfg) const {
    return task_ == "train" ? cfg.train : task_ == "test" ? cfg.test : cfg.val;
  }

  train::Evaluation evaluate(const data::Dataset& dataset, const data::DataCfg& cfg, ValOutput& output,
                             const std::string& folder, int threads, const CommonOptions& common) {
    data::LoaderParams loading;
    loading.batch_size = int(std::min<int64_t>(batch_, dataset.size()));
    loading.img_size = size_;
    loading.stride = stride_;
    loading.rect = rect_;
    loading.pad = 0.5;
    loading.workers = std::min(threads, kMaxWorkers);
    data::Loader loader(dataset, loading);

    train::EvaluateParams params;
    params.conf_thres = conf_;
    params.iou_thres = iou_;
    params.max_det = max_det_;
    params.augment = augment_;
    params.single_cls = single_cls_;
    if (!single_cls_) params.heads = cfg.heads;
    params.classes = classes_;
    Progress progress("val", dataset.size(), common);
    train::EvaluateHooks hooks;
    hooks.progress = [&](int64_t images) { progress.update(images); };
    hooks.stop = [] { return interrupted(); };
    hooks.on_found = [&](const data::Batch& batch, const train::EvaluateHooks::Boxes& found) {
      output.add_predictions(batch, found);
      if (!save_hybrid_) output.write_labels(batch, found);
      if (!folder.empty() && drawn_ < kBatchPictures) draw_batch(batch, found, folder);
    };
    if (save_hybrid_)
      hooks.on_hybrid = [&](const data::Batch& batch, const train::EvaluateHooks::Boxes& found) {
        output.write_labels(batch, found);
      };
    return train::evaluate(*detector_, dataset, loader, params, hooks);
  }

  void draw_batch(const data::Batch& batch, const train::EvaluateHooks::Boxes& found,
                  const std::string& folder) {
    const std::string name = fmt::format("val_batch{}", drawn_++);
    train::write_picture(
        folder, train::encode_picture(name + "_labels.jpg", train::draw_batch_labels(batch, classes_table_)));
    train::write_picture(folder,
                         train::encode_picture(name + "_pred.jpg",
                                               train::draw_batch_predictions(batch, found, classes_table_)));
  }

  void report(const train::Evaluation& e, const std::string& folder, const CommonOptions& common) const {
    const train::MetricsReport r =
        train::report_metrics(e.images, train::metric_kind(metric_), names_, rows_);
    Json d = train::metrics_document(r, e.speed);
    d["model"] = weights_;
    d["data"] = data_file_;
    d["task"] = task_;
    d["img_size"] = size_;
    if (!folder.empty()) {
      for (const auto& picture : train::draw_metrics(r.yolo, r.confusion, classes_table_))
        train::write_picture(folder, picture);
      write_file_atomically(folder + "/metrics.json",
                            d.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    if (common.json) {
      print_json(d);
    } else {
      const bool classes = names_.size() > 1 && (per_class_ || names_.size() < kShortTable);
      print(train::metrics_table(r, classes));
      print(
          fmt::format("P and R at confidence {:.3f}, mAP by the rule of {}\n"
                      "Speed: {:.1f}/{:.1f}/{:.1f} ms pre/inference/NMS per image at {}x{}, batch {}\n",
                      r.yolo.confidence, metric_, e.speed.preprocess, e.speed.inference, e.speed.nms, e.width,
                      e.height, batch_));
    }
    if (!folder.empty()) log::info("saved to {}", folder);
  }

  const Options* options_ = nullptr;
  std::string data_file_, weights_, cfg_, task_ = "val", metric_ = "coco", dtype_ = "fp32";
  std::vector<std::string> heads_;
  int size_ = 640, batch_ = 32, max_det_ = 300, stride_ = kMinStride;
  double conf_ = 0.001, iou_ = 0.65;
  bool rect_ = true, per_class_ = false, augment_ = false, single_cls_ = false;
  bool save_json_ = false, save_txt_ = false, save_conf_ = false, save_hybrid_ = false;

  std::vector<std::string> names_;
  std::vector<data::HeadCfg> rows_;  // heads of the model that run
  std::vector<int> classes_;         // with --heads: theirs; empty = all
  train::ClassTable classes_table_;
  int drawn_ = 0;  // batches
  std::unique_ptr<models::Detector> detector_;
};

}  // namespace

std::unique_ptr<Verb> make_val() { return std::make_unique<Val>(); }

}  // namespace mtyolo::cli

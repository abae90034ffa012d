// mtyolo infer: detections of images.
#include <chrono>

#include "cli/backend.h"
#include "cli/class_filter.h"
#include "cli/infer_output.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "data/letterbox.h"
#include "data/sources.h"
#include "models/model.h"

namespace mtyolo::cli {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// An image that waits for its batch.
struct Waiting {
  ImageResult result;
  data::Image image;
  data::LetterboxPlan letterbox;
  data::Image input;  // letterboxed
};

class Infer : public Verb {
 public:
  void register_options(Options& o) override {
    o.positionals({"SOURCE", "image, folder, pattern, list .txt, or - for standard input"}, sources_);
    o.text("weights", weights_, "checkpoint (.pt or .safetensors)");
    o.text("cfg", cfg_, "model description, when the weights bring none");
    o.image_size("img-size", size_, "longest side of the network input");
    o.toggle("square", square_, "pad to a square instead of the next multiple of the stride");
    o.list("conf-thres", conf_, "confidence threshold, or one per head: a=0.3,b=0.2 (0.25)");
    o.real("iou-thres", iou_, 0, 1, "IoU threshold of suppression");
    o.integer("max-det", max_det_, 1, 100000, "detections kept per image");
    o.list("classes", classes_, "only these classes, ids or names");
    o.list("heads", heads_, "only these heads");
    o.toggle("agnostic-nms", agnostic_, "suppress across classes");
    o.toggle("augment", augment_, "test-time augmentation: three scales, one mirrored");
    o.integer("batch-size", batch_, 1, 256, "images of one shape per pass");
    add_dtype(o, dtype_);
    o.toggle("save-txt", save_txt_, "labels/<stem>.txt: class cx cy w h");
    o.toggle("save-conf", save_conf_, "confidence at the end of the label lines");
    o.toggle("save-crop", save_crop_, "crops/<class>/<stem>.jpg");
    o.toggle("save-json", save_json_, "detections.json in the run folder");
    o.toggle("nosave", nosave_, "no annotated pictures");
    o.integer("line-width", line_width_, 0, 100, "of the boxes, 0 = by picture size");
    o.alias("conf", "conf-thres");
  }

  bool takes_device() const override { return true; }
  ExitCode run(const CommonOptions& common) override {
    const std::vector<std::string> paths = data::list_sources(sources_);
    Context ctx = make_context(common);
    load(ctx, common);
    open_output(common);
    Progress progress("infer", int64_t(paths.size()), common);
    for (size_t i = 0; i < paths.size() && !interrupted(); ++i) {
      read(paths[i], int(i), int(paths.size()), common, progress);
      progress.update(int64_t(i) + 1);
    }
    flush(common, progress);
    progress.clear();
    finish(common);
    if (results_ == 0 && unreadable_ > 0)
      throw Error({ExitCode::kData,
                   "no_image",
                   "none of the images could be read",
                   {},
                   {},
                   "see the warnings above"});
    return ExitCode::kDone;
  }

 private:
  void load(Context& ctx, const CommonOptions& common) {
    models::Model model = models::load_model(weights_, cfg_, cache_folder());
    std::vector<std::string> have;
    for (const models::Head& h : model.graph.heads) have.push_back(h.name);
    check_heads(heads_, have);
    if (!heads_.empty()) model.graph = models::prune_heads(model.graph, heads_);
    names_ = model.graph.names;
    params_.nms.classes = parse_classes(classes_, names_);
    params_.nms.iou_thres = iou_;
    params_.nms.max_det = max_det_;
    params_.nms.agnostic = agnostic_;
    params_.augment = augment_;
    for (const models::Head& h : model.graph.heads) head_names_.push_back(h.name);
    params_.head_conf_thres = parse_head_thresholds(conf_, head_names_, have, 0.25f);
    detector_ = make_detector(ctx, model.graph, model.weights, common, dtype_, packed_place(model));
    const int stride = model.graph.max_stride;
    if (size_ % stride != 0) {
      size_ = (size_ + stride - 1) / stride * stride;
      log::warning("--img-size is not a multiple of {}: {} is used", stride, size_);
    }
  }

  void open_output(const CommonOptions& common) {
    InferOutputOptions options{"", !nosave_, save_txt_, save_conf_, save_crop_, line_width_};
    if (!nosave_ || save_txt_ || save_crop_ || save_json_) options.folder = folder_ = make_run_folder(common);
    output_ = std::make_unique<InferOutput>(options, names_, head_names_);
    document_ = json_document("detections");
    Json heads = Json::object();
    for (const models::Head& h : detector_->graph().heads) {
      Json classes = Json::array();
      for (int id : h.classes) classes.push_back(names_[size_t(id)]);
      heads[h.name] = classes;
    }
    document_["model"] = {{"name", weights_}, {"img_size", size_}, {"heads", heads}};
    document_["images"] = Json::array();
  }

  void read(const std::string& path, int index, int total, const CommonOptions& common, Progress& progress) {
    Waiting w;
    const auto begin = Clock::now();
    try {
      w.image = data::read_source(path);
    } catch (const Error& e) {
      if (e.exit_code() == ExitCode::kUsage) throw;
      progress.clear();
      ++unreadable_;
      log::warning("{} is left out: {}", mtyolo::quoted(path), e.in_file(path).what());
      return;
    }
    data::LetterboxParams p;
    p.width = p.height = size_;
    p.auto_pad = !square_;
    p.stride = detector_->graph().max_stride;
    w.letterbox = data::plan_letterbox({w.image.width, w.image.height}, p);
    if (!pictures_to_device()) w.input = data::letterbox(w.image, p, w.letterbox);
    w.result = {path, w.image.width, w.image.height, {ms_since(begin), 0, 0}, {}};
    const bool other_shape = !waiting_.empty() && (waiting_[0].letterbox.width != w.letterbox.width ||
                                                   waiting_[0].letterbox.height != w.letterbox.height);
    if (other_shape) flush(common, progress);
    labels_.push_back(fmt::format("image {}/{} {}", index + 1, total, path));
    waiting_.push_back(std::move(w));
    if (int(waiting_.size()) >= batch_) flush(common, progress);
  }

  // Letterbox to suppression run on a device; an augmented image is made on the host.
  bool pictures_to_device() const { return detector_->on_device() && !augment_; }

  std::vector<std::vector<ops::Detection>> detect_pictures(const data::Letterbox& size) {
    std::vector<LetterboxImage> pictures;
    for (const Waiting& w : waiting_)
      pictures.push_back({w.image.pixels.data(), w.image.width, w.image.height, w.letterbox.scaled_width,
                          w.letterbox.scaled_height, w.letterbox.left, w.letterbox.top});
    return detector_->detect(pictures, size.height, size.width, params_);
  }

  // Runs the images that wait, writes what was found.
  void flush(const CommonOptions& common, Progress& progress) {
    if (waiting_.empty()) return;
    const data::Letterbox first = waiting_[0].letterbox;
    const auto n = int64_t(waiting_.size());
    auto begin = Clock::now();
    double pack_ms = 0, inference_ms = 0;
    std::vector<std::vector<ops::Detection>> found;
    if (pictures_to_device()) {  // nothing comes back before all is done
      found = detect_pictures(first);
      inference_ms = ms_since(begin) / double(n);
      begin = Clock::now();
    } else {
      Tensor images =
          Tensor::empty({n, 3, first.height, first.width}, detector_->on_device() ? DType::kU8 : DType::kF32);
      for (int64_t i = 0; i < n; ++i) data::image_to_tensor(waiting_[size_t(i)].input, images, i);
      pack_ms = ms_since(begin) / double(n);
      begin = Clock::now();
      std::vector<Tensor> predictions;
      if (augment_) predictions = detector_->forward_augmented(images);
      else
        for (const models::HeadOutput& out : detector_->forward(images))
          predictions.push_back(out.predictions);
      inference_ms = ms_since(begin) / double(n);
      begin = Clock::now();
      found = detector_->suppress(predictions, params_);
    }
    const double nms_ms = ms_since(begin) / double(n);
    for (size_t i = 0; i < waiting_.size(); ++i) {
      waiting_[i].result.times.preprocess_ms += pack_ms;
      waiting_[i].result.times.inference_ms = inference_ms;
      waiting_[i].result.times.postprocess_ms = nms_ms;
      report(waiting_[i], found[i], labels_[i], common, progress);
    }
    last_shape_ = fmt::format("{}x{}", first.height, first.width);
    waiting_.clear();
    labels_.clear();
  }

  void report(Waiting& w, const std::vector<ops::Detection>& found, const std::string& label,
              const CommonOptions& common, Progress& progress) {
    for (const ops::Detection& d : found) {
      FoundBox f{data::map_to_source(w.letterbox, {d.x1, d.y1, d.x2, d.y2}), d.confidence, d.class_id,
                 d.head};
      w.result.boxes.push_back(f);
    }
    output_->write(w.result, w.image);
    if (common.json || save_json_) document_["images"].push_back(output_->to_json(w.result));
    total_.preprocess_ms += w.result.times.preprocess_ms;
    total_.inference_ms += w.result.times.inference_ms;
    total_.postprocess_ms += w.result.times.postprocess_ms;
    boxes_ += int64_t(w.result.boxes.size());
    ++results_;
    if (common.json || common.quiet) return;
    progress.clear();
    print(fmt::format("{} {} ({:.1f} ms)\n", label, output_->summary(w.result), w.result.times.inference_ms));
  }

  void finish(const CommonOptions& common) {
    if (save_json_) {
      write_file_atomically(folder_ + "/detections.json", document_.dump() + "\n");
    }
    if (common.json) print_json(document_);
    if (results_ > 0) {
      const double n = double(results_);
      log::info("Speed: {:.1f}/{:.1f}/{:.1f} ms pre/inference/NMS per image at {}, batch {}",
                total_.preprocess_ms / n, total_.inference_ms / n, total_.postprocess_ms / n, last_shape_,
                batch_);
    }
    log::info("{} detections in {} image{}{}{}", boxes_, results_, results_ == 1 ? "" : "s",
              unreadable_ > 0 ? fmt::format(", {} left out (unreadable)", unreadable_) : "",
              folder_.empty() ? "" : ", saved to " + folder_);
  }

  std::vector<std::string> sources_, conf_, classes_, heads_;
  std::string weights_ = "yolov7.pt", cfg_, dtype_ = "fp32";
  int size_ = 640, max_det_ = 300, batch_ = 1, line_width_ = 0;
  double iou_ = 0.45;
  bool square_ = false, agnostic_ = false, augment_ = false, nosave_ = false;
  bool save_txt_ = false, save_conf_ = false, save_crop_ = false, save_json_ = false;

  std::vector<std::string> names_, head_names_;
  models::DetectParams params_;
  std::unique_ptr<models::Detector> detector_;
  std::unique_ptr<InferOutput> output_;
  std::string folder_, last_shape_;
  Json document_;
  std::vector<Waiting> waiting_;
  std::vector<std::string> labels_;
  StageTimes total_;
  int64_t results_ = 0, unreadable_ = 0, boxes_ = 0;
};

}  // namespace

std::unique_ptr<Verb> make_infer() { return std::make_unique<Infer>(); }

}  // namespace mtyolo::cli

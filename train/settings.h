// What a training run was asked to do: the flags of `mtyolo train` (conventions.md section 2) as a value,
// kept in opt.yaml and in every checkpoint.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/document.h"
#include "core/dtype.h"
#include "models/sharing.h"

namespace mtyolo::train {

struct Settings {
  std::string data, weights, cfg, hyp = "p5";  // paths or names, as given
  int epochs = 300, batch_size = 16, nbs = 64, img_size = 640, workers = 8;
  std::vector<std::string> freeze;  // `trunk`, head names, rows "3", "0-50"; a single number n: rows 0..n-1
  int unfreeze_at = 0;              // epoch from which nothing is frozen; 0 = never
  bool freeze_bn = false;           // running statistics stay as they are
  std::string optimizer = "sgd", lr_schedule = "cosine", iou_loss = "ciou";
  std::string head_loss = "fixed";
  std::string assigner;  // "ota", "simple"; empty: as hyp's loss_ota says
  double label_smoothing = 0, ema = 0.9999;
  bool multi_scale = false, rect = false, single_cls = false, image_weights = false;
  std::string cache;  // "ram", "disk" or empty
  bool noautoanchor = false, noval = false, noplots = false, recompute = false, strict = false;
  int patience = 0, save_period = -1, val_period = 1;
  std::string compat;          // "v7" or empty
  std::string dtype = "fp32";  // of maps and products, see compute_type()
  double fraction = 1;
  int64_t max_steps = 0;  // optimizer steps after which the run stops; resumable; 0 = none
  double time_limit = 0;  // hours, of this process
  int64_t seed = 0;
  models::SharingFlags sharing;  // between heads; what is not given is the weights' or the cfg's
};

// What a flag takes beside its type.
struct Range {
  double low, high;
};
using Choices = std::vector<std::string>;
struct ImageSize {};  // YOLOv7's `--img 640 640` too

// The one list of the settings: visit("flag", member, [Range, Choices or ImageSize,] "help"), in three parts
// as --help shows them. The two that `mtyolo train` does not register as flags come as visit("flag", member).
template <class S, class Visit>
void visit_main_settings(S& s, Visit&& visit) {
  visit("data", s.data);
  visit("weights", s.weights, "start from these weights, as far as they fit");
  visit("cfg", s.cfg, "model description, a shipped name or a path (from the weights, else yolov7)");
  visit("hyp", s.hyp, "hyper-parameters: p5, p6, tiny, custom or a file");
  visit("epochs", s.epochs, Range{1, 100000}, "passes over the training set");
  visit("batch-size", s.batch_size, Range{-1, 4096}, "images per micro-batch; -1: what memory holds");
  visit("nbs", s.nbs, Range{1, 65536}, "nominal batch size: micro-batches are accumulated up to it");
  visit("img-size", s.img_size, ImageSize{}, "side of the network input");
  visit("workers", s.workers, Range{0, 256}, "threads that read and augment images");
  visit("seed", s.seed);
}

template <class S, class Visit>
void visit_learning_settings(S& s, Visit&& visit) {
  visit("freeze", s.freeze, "trunk, head names, rows 0-50; one number n: the first n rows");
  visit("unfreeze-at", s.unfreeze_at, Range{0, 100000}, "epoch from which nothing is frozen, 0 = never");
  visit("freeze-bn", s.freeze_bn, "running statistics of batch norms stay");
  visit("optimizer", s.optimizer, Choices{"sgd", "adam", "adamw"}, "");
  visit("lr-schedule", s.lr_schedule, Choices{"cosine", "linear", "step", "plateau"},
        "learning rate over the epochs");
  visit("label-smoothing", s.label_smoothing, Range{0, 0.5}, "of class targets");
  visit("iou-loss", s.iou_loss, Choices{"ciou", "giou", "diou"}, "of boxes");
  visit("assigner", s.assigner, Choices{"ota", "simple"},
        "which cells learn an object (hyp's loss_ota: ota)");
  visit("head-loss", s.head_loss, Choices{"fixed", "learned", "pcgrad"},
        "how losses of several heads join: fixed weights, learned ones, gradient surgery");
  visit("ema", s.ema, Range{0, 0.999999}, "decay of the averaged weights");
  visit("multi-scale", s.multi_scale, "input sizes from half to one and a half of --img-size");
  visit("rect", s.rect, "batches of images of like shape, no mosaic");
  visit("single-cls", s.single_cls, "all classes count as one");
  visit("image-weights", s.image_weights, "images with hard classes come more often");
  visit("cache", s.cache, Choices{"ram", "disk"}, "keep decoded images");
  visit("fraction", s.fraction, Range{1e-6, 1}, "share of the training images");
  visit("noautoanchor", s.noautoanchor, "keep the anchors even where they fit badly");
  visit("recompute", s.recompute, "less memory, more time: values are computed again for gradients");
  visit("dtype", s.dtype, Choices{"fp32", "fp16", "bf16"},
        "what convolutions multiply and maps are kept in; weights stay fp32; fp16 needs a GPU");
  visit("compat", s.compat, Choices{"v7"}, "yolov7's rate lag, window, warm-up and assigner scale");
  visit("strict", s.strict, "stop at the first image or label that is refused");
}

template <class S, class Visit>
void visit_course_settings(S& s, Visit&& visit) {
  visit("patience", s.patience, Range{0, 100000}, "stop after so many epochs without a better one, 0 = off");
  visit("save-period", s.save_period, Range{-1, 100000},
        "weights/epoch_NNN.pt every so many epochs, -1 = never");
  visit("val-period", s.val_period, Range{1, 100000}, "validate every so many epochs");
  visit("noval", s.noval, "no validation");
  visit("noplots", s.noplots, "no pictures, and none in report.html");
  visit("max-steps", s.max_steps, Range{0, double(int64_t(1) << 50)},
        "stop after so many optimizer steps; --resume goes on");
  visit("time-limit", s.time_limit, Range{0, 1e6}, "stop after so many hours; --resume goes on");
}

// Flags of `mtyolo import` too, which registers them beside `train` (cli/sharing_flags.h).
template <class S, class Visit>
void visit_sharing_flags(S& s, Visit&& visit) {
  visit("sharing", s.mode);
  visit("share-until", s.until);
  visit("couple", s.couple);
  visit("couple-strength", s.strength);
  visit("cross-stitch", s.cross_stitch);
}

template <class S, class Visit>
void visit_settings(S& s, Visit&& visit) {
  visit_main_settings(s, visit);
  visit_learning_settings(s, visit);
  visit_course_settings(s, visit);
  visit_sharing_flags(s.sharing, visit);
}

// What --dtype fp32 and bf16 stand for. Throws Error{kUsage} for all else: fp16 needs a GPU.
DType compute_type(const std::string& dtype);

// {flag: value}, in the order above, and back; a flag that is missing keeps its default.
Document settings_to_document(const Settings& settings);
Settings settings_from_document(const Document& document);

// A line "flag: old -> new" for every setting that differs.
std::vector<std::string> settings_differences(const Settings& before, const Settings& after);

}  // namespace mtyolo::train

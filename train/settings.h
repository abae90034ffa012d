// What a training run was asked to do: the flags of `mtyolo train` (conventions.md section 2) as a value,
// kept in opt.yaml and in every checkpoint.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/document.h"
#include "core/dtype.h"

namespace mtyolo::train {

struct Settings {
  std::string data, weights, cfg, hyp = "p5";  // paths or names, as given
  int epochs = 300, batch_size = 16, nbs = 64, img_size = 640, workers = 8;
  std::vector<std::string> freeze;  // `trunk`, head names, rows "3", "0-50"; a single number n: rows 0..n-1
  int unfreeze_at = 0;              // epoch from which nothing is frozen; 0 = never
  bool freeze_bn = false;           // running statistics stay as they are
  std::string optimizer = "sgd", lr_schedule = "cosine", iou_loss = "ciou";
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
};

// Calls visit("name", member) for every setting, with the flag's name.
template <class S, class Visit>
void visit_settings(S& s, Visit&& visit) {
  visit("data", s.data);
  visit("weights", s.weights);
  visit("cfg", s.cfg);
  visit("hyp", s.hyp);
  visit("epochs", s.epochs);
  visit("batch-size", s.batch_size);
  visit("nbs", s.nbs);
  visit("img-size", s.img_size);
  visit("workers", s.workers);
  visit("freeze", s.freeze);
  visit("unfreeze-at", s.unfreeze_at);
  visit("freeze-bn", s.freeze_bn);
  visit("optimizer", s.optimizer);
  visit("lr-schedule", s.lr_schedule);
  visit("iou-loss", s.iou_loss);
  visit("assigner", s.assigner);
  visit("label-smoothing", s.label_smoothing);
  visit("ema", s.ema);
  visit("multi-scale", s.multi_scale);
  visit("rect", s.rect);
  visit("single-cls", s.single_cls);
  visit("image-weights", s.image_weights);
  visit("cache", s.cache);
  visit("noautoanchor", s.noautoanchor);
  visit("noval", s.noval);
  visit("noplots", s.noplots);
  visit("recompute", s.recompute);
  visit("strict", s.strict);
  visit("patience", s.patience);
  visit("save-period", s.save_period);
  visit("val-period", s.val_period);
  visit("compat", s.compat);
  visit("dtype", s.dtype);
  visit("fraction", s.fraction);
  visit("max-steps", s.max_steps);
  visit("time-limit", s.time_limit);
  visit("seed", s.seed);
}

// What --dtype fp32 and bf16 stand for. Throws Error{kUsage} for all else: fp16 needs a GPU.
DType compute_type(const std::string& dtype);

// {flag: value}, in the order above, and back; a flag that is missing keeps its default.
Document settings_to_document(const Settings& settings);
Settings settings_from_document(const Document& document);

// A line "flag: old -> new" for every setting that differs.
std::vector<std::string> settings_differences(const Settings& before, const Settings& after);

}  // namespace mtyolo::train

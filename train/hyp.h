// Hyper-parameters: every key of yolov7's hyp files (train.md section 2) and of ours (conventions.md section
// 4).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/document.h"

namespace mtyolo::train {

// Values as in the file; the defaults are p5. What a run makes of them is ScaledHyp (known-issues T22).
struct Hyp {
  // Optimizer and schedule.
  double lr0 = 0.01, lrf = 0.1, momentum = 0.937, weight_decay = 5e-4;
  double warmup_epochs = 3, warmup_momentum = 0.8, warmup_bias_lr = 0.1;
  // Loss. iou_t is in yolov7's files and used by nothing.
  double box = 0.05, cls = 0.3, cls_pw = 1, obj = 0.7, obj_pw = 1, iou_t = 0.2, anchor_t = 4, fl_gamma = 0;
  // Augmentation (data.md section 7).
  double hsv_h = 0.015, hsv_s = 0.7, hsv_v = 0.4;
  double degrees = 0, translate = 0.2, scale = 0.9, shear = 0, perspective = 0, flipud = 0, fliplr = 0.5;
  double mosaic = 1, mixup = 0.15, copy_paste = 0, paste_in = 0.15;
  double loss_ota = 1;  // 1 = OTA, other = anchor ratios

  // Ours.
  int close_mosaic = 0;            // epochs at the end without mosaic and mixup
  double repeat_thr = 0;           // share of images below which a class is rare: repeat_factors.h; 0 = off
  std::vector<float> cls_weights;  // factor of each global class id in the class loss; empty = 1
  std::map<std::string, double>
      head_weights;                         // head name -> factor of its loss; wins over data.yaml's weight
  std::map<std::string, double> lr_groups;  // prefix of parameter names -> factor of the learning rate

  bool operator==(const Hyp&) const = default;
};

std::vector<std::string> built_in_hyps();  // p5, p6, tiny, custom

// A built-in name, or a YAML file. Keys that a file leaves out keep p5's value and are named in one line of
// the log. Throws Error{kUsage, "config"} with file and line for: a value out of range, an unknown key
// (naming the nearest), a key that this version does not honour.
Hyp read_hyp(const std::string& name_or_path);
// The same from a parsed map, as a checkpoint holds it.
Hyp hyp_from_document(const Document& document);
Document hyp_to_document(const Hyp& hyp);

// Gains and decay of one head's run, train.md section 2:
// weight_decay * Bt * accumulate / nbs, box * 3/nl, cls * nc/80 * 3/nl, obj * (img_size/640)^2 * 3/nl.
struct ScaledHyp {
  double box = 0, obj = 0, cls = 0, weight_decay = 0;
};
ScaledHyp scaled_hyp(const Hyp& hyp, int levels, int nc, int64_t img_size, int64_t total_batch,
                     int64_t nominal_batch = 64);

// Text of hyp.yaml: the file's values, which read_hyp takes back, then the scaled ones per head as a comment.
std::string hyp_yaml(const Hyp& hyp, const std::map<std::string, ScaledHyp>& scaled = {});

}  // namespace mtyolo::train

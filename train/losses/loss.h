// Detection losses of one head with their gradients (train.md section 8).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"

namespace mtyolo::train {

// One labelled object. Class is the column of this head; centre form, normalised to the network input.
struct Target {
  int image = 0, cls = 0;
  float x = 0, y = 0, w = 0, h = 0;
};

enum class IouKind : uint8_t { kIou, kGiou, kDiou, kCiou };

struct LossParams {
  double box = 0.05, obj = 0.7, cls = 0.3;  // gains, already scaled (train.md section 2)
  double cls_pw = 1, obj_pw = 1, anchor_t = 4, fl_gamma = 0, label_smoothing = 0, gr = 1;
  IouKind iou = IouKind::kCiou;
  std::vector<float> class_weights = {};  // factor of each class column's loss; empty = all 1
  // The reference scales the targets of its assigner by the image height on both axes (known-issues L4).
  bool ota_scale_by_height = false;
};

// What a loss needs to know of a head.
struct HeadSpec {
  std::vector<std::vector<float>> anchors;  // per level, in pixels: w,h,w,h,...
  std::vector<float> strides;
  int nc = 80;
  // Of a head with one class: its score is the objectness and its class column is not trained (models::Head).
  bool score_is_objectness = true;
};

struct LossInput {
  std::span<const Tensor> levels;          // logits [B,A,ny,nx,5+nc] f32 or f64, contiguous
  std::span<const Tensor> aux;             // auxiliary maps, only for the auxiliary loss
  std::span<const Target> targets;         // any order of images
  std::span<const uint8_t> labelled = {};  // per image: 0 = not labelled for this head, no loss, gradient 0
  int64_t image_height = 640, image_width = 640;
  bool want_gradients = true;  // false: LossResult::grads stay empty (validation)
};

struct Match {
  int image, anchor, gj, gi;  // cell row gj, column gi
  int target;                 // index into LossInput::targets
};

struct LossResult {
  double loss = 0;                                       // B * (box + obj + cls)
  double box = 0, obj = 0, cls = 0;                      // items, with gains, not times B
  std::vector<Tensor> grads, aux_grads;                  // of `loss`, shape and type of the maps
  std::vector<std::vector<Match>> matches, aux_matches;  // per level
};

// A loss by name: "simple" (anchor ratios, 8.3), "ota" (8.4), "aux_ota" (8.5).
using LossFunction = LossResult (*)(Context&, const HeadSpec&, const LossParams&, const LossInput&);
LossFunction find_loss(const std::string& name);  // throws Error{kUsage} that lists the names

}  // namespace mtyolo::train

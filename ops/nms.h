// Class-aware greedy non-maximum suppression as YOLOv7 does it (eval.md section 2).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ops/impls.h"

namespace mtyolo::ops {

// One detection: corners in the pixels of the input it was computed on.
struct Detection {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  float confidence = 0;
  int class_id = 0;  // index among the columns given, or as mapped by the caller
  int head = 0;
  bool operator==(const Detection&) const = default;
};

struct NmsParams {
  float conf_thres = 0.25f;  // strict: score > conf_thres, objectness > conf_thres
  double iou_thres = 0.45;   // strict: a box is dropped when its IoU (in f32) with a kept one is greater
  bool multi_label = false;  // every class above the threshold, not only the best (ignored with one class)
  bool agnostic = false;     // suppress across classes
  int max_det = 300;
  int max_nms = 30000;
  std::vector<int> classes = {};  // class filter, empty = all
  // With one class the score is the objectness alone. Off for a one-class head that was split from a head
  // with several classes: there it remains objectness * class score.
  bool one_class_score_is_objectness = true;
  bool operator==(const NmsParams&) const = default;
};

// Candidates of one image above the threshold, in row order then class order.
//   predictions [rows, 5 + nc] f32: cx, cy, w, h, objectness, class scores. Confidence is objectness * class
//   score, or objectness alone when nc = 1 (see NmsParams). Rows whose numbers are not finite are dropped.
//   Any strides. class_ids   maps a column to the class id written into the result (size nc), and is what
//   `classes` filters.
// Appends to `out`, of very many only those that nms_select may visit. Throws Error when predictions are not
// [rows, 6 or more] f32 or class_ids has another size.
void nms_candidates(const Tensor& predictions, const NmsParams& p, std::span<const int> class_ids, int head,
                    std::vector<Detection>& out);

// Keeps at most max_det of the max_nms best `candidates`, in decreasing confidence; equal confidences keep
// candidate order. Depends on no clock and on no distance between classes (known-issues.md E2, E3). Boxes of
// different classes are compared only if agnostic. Detections of equal class and different heads suppress
// each other (a class belongs to one head, so they do not occur).
std::vector<Detection> nms_select(std::vector<Detection> candidates, const NmsParams& p);

// Both steps for a plain prediction tensor with classes 0..nc-1.
std::vector<Detection> nms(const Tensor& predictions, const NmsParams& p);

}  // namespace mtyolo::ops

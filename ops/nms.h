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
};

// A prediction row before suppression with its place in the candidate order (ties keep that order).
struct NmsParams {
  float conf_thres = 0.25f;   // strict: score > conf_thres, objectness > conf_thres
  float iou_thres = 0.45f;    // strict: a box is dropped when its IoU with a kept one is greater
  bool multi_label = false;   // every class above the threshold, not only the best (ignored with one class)
  bool agnostic = false;      // suppress across classes
  int max_det = 300;
  int max_nms = 30000;
  std::vector<int> classes;   // class filter, empty = all
};

// Candidates of one image above the threshold, in row order then class order.
//   predictions [rows, 5 + nc] f32: cx, cy, w, h, objectness, class scores. Confidence is objectness * class score,
//   or objectness alone when nc = 1. Rows whose numbers are not finite are dropped.
//   class_ids   maps a column to the class id written into the result (size nc), and is what `classes` filters.
void nms_candidates(const Tensor& predictions, const NmsParams& p, std::span<const int> class_ids, int head,
                    std::vector<Detection>& out);

// Keeps at most max_det of `candidates`, in decreasing confidence; equal confidences keep candidate order. Boxes of
// different classes are compared only if agnostic. Detections of equal class and different heads suppress each other
// (a class belongs to one head, so they do not occur).
std::vector<Detection> nms_select(std::vector<Detection> candidates, const NmsParams& p);

// Both steps for a plain prediction tensor with classes 0..nc-1.
std::vector<Detection> nms(const Tensor& predictions, const NmsParams& p);

}  // namespace mtyolo::ops

// What decoding and suppression on a device take and give.
#pragma once

#include <span>

#include "ops/device/types.h"

namespace mtyolo {

inline constexpr int kMostLevels = 8, kMostAnchors = 5;

// One level of one head: raw [n, h, w, anchors * (5 + classes)], channel = anchor * (5 + classes) + column,
// f32, f16 or bf16.
struct DecodeLevel {
  KernelMap raw;
  float stride = 8;
  int anchor_count = 0;
  float anchors[2 * kMostAnchors] = {};  // aw0, ah0, ... in pixels
};

struct DecodeHead {
  DecodeLevel levels[kMostLevels];
  int level_count = 0;
  int classes = 0;
  const int* class_ids = nullptr;  // [classes] on the device: column -> class id of the results
  float conf_thres = 0.25f;
  bool score_is_objectness = false;  // ops::NmsParams::one_class_score_is_objectness, with one class
};

// A detection as the device writes it.
struct DeviceDetection {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0, confidence = 0;
  int class_id = 0, head = 0;
};

struct NmsArgs {
  std::span<const DecodeHead> heads;
  int images = 0;
  double iou_thres = 0.45;
  bool multi_label = false, agnostic = false;
  int max_det = 300, max_nms = 30000;
  const uint8_t* wanted_classes = nullptr;  // [class_limit] on the device, by class id; null: all
  int class_limit = 0;                      // class ids are below
  int capacity = 30000;  // candidates an image may have; beyond it, `overflow` is set and the host decides
  DeviceDetection* detections = nullptr;  // [images][max_det]
  int* counts = nullptr;                  // [images]
  int* overflow = nullptr;                // [images]: candidates there were when more than capacity, else 0
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
};

}  // namespace mtyolo

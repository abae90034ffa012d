// The second half of nms (cuda/detect.h), and what its two halves share: candidates of each image to
// detections.
#pragma once

#include "cuda/detect.h"

namespace mtyolo {

// Two 16-byte halves.
struct alignas(16) NmsCandidate {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0, confidence = 0;
  int class_id = 0, head = 0, unused = 0;
};

// Pointers are on the device.
struct NmsSelectArgs {
  int images = 0, capacity = 0;
  const NmsCandidate* candidates = nullptr;      // [images][capacity], in the order that breaks ties
  int units = 0;                                 // an image's count of candidates comes in so many parts
  const int* unit_counts = nullptr;              // [images][units]
  uint64_t *keys = nullptr, *scratch = nullptr;  // [images][capacity] each, for the sort
  double iou_thres = 0.45;
  bool agnostic = false;
  int max_det = 300, max_nms = 30000;
  DeviceDetection* detections = nullptr;  // these three as in NmsArgs
  int* counts = nullptr;
  int* overflow = nullptr;
};

// Rows of predictions of a head. Throws Error{"check"} when its levels do not fit it.
int decode_rows(const DecodeHead& head, int images);

inline constexpr int kUnitRows = 32,
                     kBlockUnits = 8;  // rows of a warp; units of a block that makes candidates
// A head's units: those of whole blocks.
constexpr int units_of(int rows) {
  return (rows + kUnitRows * kBlockUnits - 1) / (kUnitRows * kBlockUnits) * kBlockUnits;
}

// What nms_select gets, with the places of its inputs in the workspace, whose bytes are counted. Throws
// Error{"check"} when the arguments do not fit each other; looks neither at the workspace nor at the results.
struct NmsPlan {
  NmsSelectArgs select;
  size_t bytes = 0;
};
NmsPlan nms_plan(const NmsArgs& args);

// The order and the choice of ops::nms_select: stable sort by decreasing confidence, the max_nms best, greedy
// suppression, at most max_det. One block for each image.
namespace simt {
void nms_select(KernelStream stream, const NmsSelectArgs& args);
}
namespace cuda {
void nms_select(KernelStream stream, const NmsSelectArgs& args);
}

}  // namespace mtyolo

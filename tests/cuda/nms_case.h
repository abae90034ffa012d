// Raw maps, or candidates, to detections on the emulated device beside ops/; also what the mutation test
// runs.
#pragma once

#include <string>
#include <vector>

#include "cuda/nms.h"
#include "ops/nms.h"

namespace mtyolo::test {

// Three images: one with many candidates, one with few, one with none. Boxes and scores repeat.
struct NmsCase {
  KernelType type = KernelType::kF32;
  std::vector<int> classes{3};  // of each head
  bool shared_ids = false;      // heads have the same classes
  int side = 5;                 // height of the first level of two; each has two anchors
  int dense = 60;               // percent of the rows of the first image whose objectness may pass
  bool spoiled = false;         // some logits are NaN or infinite
  int spare = 5;                // capacity beyond the most candidates of an image; -1: overflow
  ops::NmsParams params{};
};

// "" when decode agrees with ops/detect_decode.h to 1e-5 and nms with ops/nms.h on what decode gave, bit for
// bit, and nothing else was written; else what is wrong. Throws what the emulator finds.
std::string nms_fault(const NmsCase& c);

// The same of nms_select alone for images with these counts of random boxes with whole corners, of `classes`
// classes, `scores` different confidences around zero.
std::string select_fault(const std::vector<int>& counts, int classes, int scores, const ops::NmsParams& p);

}  // namespace mtyolo::test

// What the loader hands to the trainer and the validator.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/image.h"

namespace mtyolo::data {

// Row of a batch's targets: global class id; centre form, normalised to the network input.
struct BatchTarget {
  int image = 0, cls = 0;
  float x = 0, y = 0, w = 0, h = 0;
};

struct Batch {
  Tensor images;                     // u8 [B,3,H,W], RGB, contiguous
  std::vector<BatchTarget> targets;  // ordered by image
  std::vector<uint64_t> labelled;    // per image: bit h = labelled for head h
  std::vector<int64_t> indices;      // of the data set, per image (of a mosaic: its first image)
  std::vector<std::string> paths;
  std::vector<Letterbox> letterboxes;  // validation: how each image was fitted; training: empty
  int size() const { return int(indices.size()); }
};

}  // namespace mtyolo::data

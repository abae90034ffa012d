// The deploy form as a model of its own (graph.md section 4, eval.md section 7): what `mtyolo reparam`
// writes.
#pragma once

#include "models/model.h"

namespace mtyolo::models {

// Every convolution with its batch norm folded, every RepConv as one convolution (`rbr_reparam`), implicit
// terms in the head's convolutions, no auxiliary outputs; tensors in f32 under yolov7's names. The cfg's last
// row is Detect and the rows that only auxiliary outputs read are gone, so the head's row number moves as in
// yolov7's deploy cfgs (118 for yolov7-w6). Heads, names and anchors stay. A model that is in deploy form
// already comes back equal.
Model deploy_model(const Model& model);

// How far the predictions of two models are apart.
struct PredictionDifference {
  double probability = 0;  // largest |a - b| of objectness and class scores
  double box = 0;  // largest |a - b| of cx, cy, w, h, in pixels; both infinite where a number is not finite
  // Boxes as fractions of the image's side, as labels are, stand beside probabilities.
  double worst(int side) const { return probability > box / side ? probability : box / side; }
};

// One tensor [N, rows, 5 + nc] f32 per head in both. Throws Error{"check"} when shapes differ.
PredictionDifference compare_predictions(const std::vector<Tensor>& a, const std::vector<Tensor>& b);

}  // namespace mtyolo::models

// A network over a validation set: batches in, detections and truth in pixels of the original images out
// (eval.md sections 1.1 and 2). `val` calls it with a checkpoint, the trainer with its averaged weights.
#pragma once

#include <array>
#include <functional>
#include <span>

#include "data/loader.h"
#include "models/plan/detector.h"
#include "train/metrics.h"

namespace mtyolo::train {

struct EvaluateParams {
  double conf_thres = 0.001, iou_thres = 0.65;  // of NMS; training takes 0.6
  int max_det = 300;
  bool augment = false;     // test-time augmentation; there are no raw maps then
  bool single_cls = false;  // every detection is class 0, boxes suppress each other
  // Heads of the data.yaml in its order, which Sample::labelled counts: where an image is not labelled for a
  // head, the head's detections there take no part in the metrics. Empty: labelled for everything.
  std::vector<data::HeadCfg> heads;
  std::vector<int> classes;  // truth of other classes is left out; empty = all
};

// What happens while batches pass. Each may be empty.
struct EvaluateHooks {
  using Boxes = std::vector<std::vector<ScoredBox>>;  // per image of the batch, by decreasing score
  // The network's outputs for a batch, raw maps included when the Detector keeps them: validation loss.
  std::function<void(const data::Batch&, const std::vector<models::HeadOutput>&)> on_outputs;
  std::function<void(const data::Batch&, const Boxes&)> on_found;
  // What suppression gives when the labels take part with score 1 (yolov7's --save-hybrid).
  std::function<void(const data::Batch&, const Boxes&)> on_hybrid;
  std::function<void(int64_t images)> progress;
  std::function<bool()> stop;  // true ends early
};

struct SpeedMs {
  double preprocess = 0, inference = 0, nms = 0;  // means per image
};
struct Evaluation {
  std::vector<ImageResult> images;  // in the order of the data set; those that were not reached left out
  SpeedMs speed;
  int64_t seen = 0;
  int height = 0, width = 0;  // of the last batch
};

// The loader is set up for validation: no augmentation, its stride a multiple of the network's.
Evaluation evaluate(models::Detector& detector, const data::Dataset& dataset, data::Loader& loader,
                    const EvaluateParams& params, const EvaluateHooks& hooks = {});

// The objects of a sample in its pixels, crowds last; classes outside `classes` (empty = all) left out.
std::vector<TruthBox> truth_of(const data::Sample& sample, const std::vector<int>& classes = {});

// Corners in network pixels brought to the original image and clipped to it: the inverse of what was done to
// the pixels, with each side's own ratio and the whole pixels of padding (known-issues.md E13, E14).
std::array<double, 4> to_source(const data::Letterbox& done, const std::array<double, 4>& box);

}  // namespace mtyolo::train

// What augmentation may do: yolov7's hyper-parameters under their names (train.md section 2).
#pragma once

namespace mtyolo::data {

// Probabilities unless stated. The defaults are yolov7's hyp.scratch.p5.
struct AugmentParams {
  bool mosaic_enabled = true;                      // false: as mosaic = mixup = 0 (close_mosaic)
  double mosaic = 1.0;                             // 4 images (0.8) or 9 (0.2) as one
  double mixup = 0.15;                             // a mosaic blended with another one
  double copy_paste = 0;                           // share of a mosaic's polygons pasted mirrored
  double paste_in = 0.15;                          // polygons of other images pasted in
  double degrees = 0;                              // rotation, -+
  double translate = 0.2;                          // share of the output's sides, -+
  double scale = 0.9;                              // factor from 1 - scale to 1.1 + scale
  double shear = 0;                                // degrees, -+
  double perspective = 0;                          // -+, 0..0.001
  double hsv_h = 0.015, hsv_s = 0.7, hsv_v = 0.4;  // gains, 1 -+
  double flipud = 0, fliplr = 0.5;
};

}  // namespace mtyolo::data

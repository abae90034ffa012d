// IoU of two boxes and its kin, with gradients (train.md section 8.1).
#pragma once

#include <array>

#include "train/losses/loss.h"

namespace mtyolo::train {

using Box = std::array<double, 4>;  // cx, cy, w, h

struct BoxIou {
  double value = 0;
  Box grad_a{}, grad_b{};  // of value
};

// With eps = 1e-7 on the heights, the union and every denominator:
//   iou   inter / union
//   giou  iou - (hull - union) / hull          (Rezatofighi et al. 2019)
//   diou  iou - rho^2 / c^2                    (Zheng et al. 2020: centre distance, diagonal of the hull)
//   ciou  diou - v alpha                       (the same; alpha is a constant in the gradient)
// Finite for every finite box, also for sides of 0. Where a minimum or maximum has two equal arguments, each
// takes half of the gradient.
BoxIou box_iou(IouKind kind, const Box& a, const Box& b);

IouKind iou_by_name(const std::string& name);  // iou, giou, diou, ciou; throws Error{kUsage} that lists them

}  // namespace mtyolo::train

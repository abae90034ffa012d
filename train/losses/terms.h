// Box, objectness and class loss of matched maps, with gradients (train.md section 8.3).
#pragma once

#include "train/losses/candidates.h"

namespace mtyolo::train {

// Adds the terms of one set of maps, times `weight`, to the items and the loss of `result`, and makes the
// gradients of the maps (not made if the input wants none). matches: per level, ordered by image, inside an
// image in the order in which their objectness targets are written. Images that are not labelled count
// nowhere: the loss is the one of the labelled images alone, their number taking the place of B.
void add_terms(Context& ctx, const HeadSpec& head, const LossParams& params, const LossInput& input,
               std::span<const Tensor> maps, const std::vector<std::vector<Match>>& matches, double weight,
               LossResult& result, std::vector<Tensor>& grads);

}  // namespace mtyolo::train

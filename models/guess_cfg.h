// Which shipped cfg a state dict without a description belongs to.
#pragma once

#include "models/cfg.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// The cfg with the class count and the anchors of the tensors of its last row; unchanged where these do not
// fit.
Cfg cfg_for_tensors(const Cfg& cfg, const StateDict& weights);

// The first shipped cfg whose tensors are exactly those given, by name and shape. A warning says so when
// several fit (they then differ in activations, which tensors do not show). Throws Error{kModel} that names
// the closest cfg and the first difference.
Cfg guess_cfg(const StateDict& weights);

}  // namespace mtyolo::models

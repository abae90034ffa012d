// Taking over foreign weights: what fits, with a report of the rest, and one head into the heads of a
// data.yaml.
#pragma once

#include "models/model.h"

namespace mtyolo::models {

// As model_from_checkpoint, but with a cfg that only partly fits: tensors that are missing or have another
// shape keep an initial value drawn from `seed` and stand in Model::transfer.skipped. Throws Error{kModel}
// when nothing fits, when implicit terms would be lost, or when the file has folded batch norms, which fit no
// training form in part.
Model import_model(const Checkpoint& checkpoint, const std::string& cfg, uint64_t seed);

// The classes and heads of a data.yaml.
struct HeadPlan {
  std::string file;                // for messages
  std::vector<std::string> names;  // by class id
  std::vector<HeadGroup> groups;   // empty: the heads stay as they are
  SharingFlags sharing = {};       // how much the heads share; not given: what model.cfg says
};

// The model with the plan's heads and class ids. Classes are matched by name when the model has names (any
// order of a single head), else by number. A model that has several heads already must have the plan's;
// sharing that differs from the model's is settled as in models/reshare.h. Throws Error{kUsage} that names
// both sides when classes or heads differ.
Model with_heads(const Model& model, const HeadPlan& plan);

}  // namespace mtyolo::models

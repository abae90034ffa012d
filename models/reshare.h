// Weights from one sharing between heads to another (models/sharing.h), by their names.
#pragma once

#include <vector>

#include "models/model.h"

namespace mtyolo::models {

// The tensors of a file under the names of `graph`, by handle; those that have no place there keep theirs.
// `heads`: the file's heads, empty for one head under plain names. A head's row takes, in this order, the
// file's tensor of that name, the shared one, and for a head that the file has not the one of the file's
// first head. Copies become a shared row where they agree bit for bit. Throws Error{kModel, "sharing"} that
// names both sides where they do not, or where a learned cross-stitch unit would be lost.
StateDict reshared_tensors(const StateDict& file, const std::vector<std::string>& heads, const Graph& graph);

// A description that is not the file's own, with the sharing that the file's tensors have; unchanged where
// its rows are others.
Cfg with_sharing_of(const Checkpoint& checkpoint, Cfg cfg);

// The model with other sharing between its heads, the same numbers behind it. Throws Error{kUsage, "sharing"}
// for a model with one head, and as above.
Model reshare(const Model& model, const Sharing& sharing);

}  // namespace mtyolo::models

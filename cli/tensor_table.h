// Tensors of a weight file as `info --tensors` and `import --list` show them.
#pragma once

#include "cli/output.h"
#include "models/weights/digest.h"

namespace mtyolo::cli {

// Inference weights under their plain names, then the averaged weights ("ema.") and the optimizer
// ("optimizer.").
std::vector<models::TensorDigest> all_digests(const models::Checkpoint& checkpoint);

// One line per tensor: name dtype shape sum abs_sum sha256.
std::string tensor_lines(const std::vector<models::TensorDigest>& digests);
// The same as a list of objects; sums that are not finite are the strings "nan", "inf", "-inf".
Json tensor_json(const std::vector<models::TensorDigest>& digests);

}  // namespace mtyolo::cli

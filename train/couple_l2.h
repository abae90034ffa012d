// The tie of soft parameter sharing (architecture.md section 6; Duong et al. 2015, "Low Resource Dependency
// Parsing": parameters held together by a squared distance).
#pragma once

#include <vector>

#include "autograd/parameter.h"
#include "models/sharing.h"

namespace mtyolo::train {

// The sum over ties of strength * sum (first - second)^2. With `gradients`, 2 * strength * (first - second)
// and its negative are added to the gradients of the sides that train. Both parameters are of one shape; the
// sums are made in an order that does not depend on the number of threads.
double couple_l2(Context& ctx, autograd::ParamStore& store, const std::vector<models::Coupling>& ties,
                 bool gradients);

}  // namespace mtyolo::train

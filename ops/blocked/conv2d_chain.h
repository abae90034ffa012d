// Two convolutions, one after the other, without the whole map between them.
#pragma once

#include <memory>

#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {

// y = activation(second(between(first(x)))) + residual. Each task makes the rows of the first result that
// some rows of y read in scratch memory that stays in a cache; rows at the seams are made twice, so the first
// should be the smaller work. The sums are those of two conv2d calls.
struct ConvChain {
  std::shared_ptr<const PackedConv> first, second;
  Activation between;
  Element type = Element::kF32;  // of the map between them: what the second is packed for
};
void conv2d(Context& ctx, const ConvChain& chain, const ConvCall& call);

}  // namespace mtyolo::ops::blocked

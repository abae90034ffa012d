// Weights in bf16 whose sums are nearly those of f32.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace mtyolo::ops::blocked {

// weight [O, C/groups, kh, kw] f32, contiguous, becomes f32 that bf16 holds exactly.
//
// What a convolution multiplies is alike: neighbouring pixels are, and activated channels are mostly
// positive. Their common part meets the sum of a filter's rounding errors e, the rest each error alone. So of
// the taps of a kernel, or of the channels where the kernel is 1x1, some are not rounded to the nearest value
// but to the one on their other side, where (sum e)^2 + sum e^2 falls by it: first those near the middle of
// the two, at last any.
void round_keeping_sums(Context& ctx, const Tensor& weight);

}  // namespace mtyolo::ops::blocked

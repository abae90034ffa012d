// Central differences in f64: what every gradient is compared with.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "autograd/tape.h"

namespace mtyolo::test {

// A function of its inputs, computed on a tape.
using TapeFunction = std::function<autograd::Var(autograd::Tape&, std::span<const autograd::Var>)>;

// A variable whose gradient is wanted.
autograd::Var leaf(const Tensor& value);

// The largest difference between the gradients of sum(y * r), with r random, that the tape collects for the
// f64 inputs and (L(x + h) - L(x - h)) / 2h of every element, relative to max(1, |gradient|).
double gradient_error(const std::vector<Tensor>& inputs, const TapeFunction& f);

}  // namespace mtyolo::test

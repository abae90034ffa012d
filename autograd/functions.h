// Differentiable forms of the ops: each computes a value and records how gradients pass it. They record
// nothing when no input wants a gradient, and keep only what their backward pass reads.
//   y   where the value goes: a tensor of the right shape, such as a channel range of a concat's buffer;
//       undefined: a new one in the layout of the input, blocked ones without halo
// Plain tensors f32 or f64, or blocked maps f32 or bf16; parameters are always plain, f32 beside bf16 maps.
// Errors as in ops/<op>.h.
#pragma once

#include <span>

#include "autograd/tape.h"
#include "ops/activation.h"
#include "ops/batch_norm.h"
#include "ops/conv2d.h"
#include "ops/cross_stitch.h"
#include "ops/max_pool2d.h"
#include "ops/scale_shift.h"
#include "ops/upsample.h"

namespace mtyolo::autograd {

Var conv2d(Tape& tape, const Var& x, const Var& weight, const Var& bias, const ops::Conv2d& p, Tensor y = {});

// Moves `mean` and `var` unless p.frozen. Not `keep`: a convolution that reads the result makes it again from
// x for its backward pass.
struct RunningStats {
  Tensor mean, var;
};
Var batch_norm(Tape& tape, const Var& x, const Var& weight, const Var& bias, const RunningStats& running,
               const ops::BatchNormTrain& p, Tensor y = {}, bool keep = true);

Var activation(Tape& tape, const Var& x, const ops::Activation& p, Tensor y = {});
Var max_pool2d(Tape& tape, const Var& x, const ops::MaxPool2d& p, Tensor y = {});
Var upsample(Tape& tape, const Var& x, const ops::Upsample& p, Tensor y = {});
Var space_to_depth(Tape& tape, const Var& x, Tensor y = {});
Var scale_shift(Tape& tape, const Var& x, const Var& implicit, const ops::ScaleShift& p, Tensor y = {});
Var cross_stitch(Tape& tape, std::span<const Var> inputs, const Var& weight, Tensor y = {});
Var add(Tape& tape, const Var& a, const Var& b, Tensor y = {});
// Inputs that lie in `y` already are not copied; gradients of inputs are views of y's where they can be.
Var concat(Tape& tape, std::span<const Var> inputs, Tensor y = {});
// The value is plain, [N,A,ny,nx,no].
Var head_rows(Tape& tape, const Var& raw, int anchors);

}  // namespace mtyolo::autograd

// Checks shared by the ops: every message begins with the op's name and shows the operands (style.md H4).
#pragma once

#include "core/tensor.h"

namespace mtyolo::ops {

// Throws unless `t` is defined and holds f32 or f64. `what` names the operand: "input", "weight".
void check_floating(const char* op, const char* what, const Tensor& t);
// The same, and f32 only.
void check_float32(const char* op, const char* what, const Tensor& t);
// Throws unless `t` is a defined f32 or f64 tensor of four dimensions N,C,H,W.
void check_image(const char* op, const char* what, const Tensor& t);
// Throws unless `shape` has four dimensions N,C,H,W.
void check_image_shape(const char* op, const char* what, const Shape& shape);
// Throws unless `t` has the element type of `x`.
void check_same_type(const char* op, const char* what, const Tensor& t, const Tensor& x);
// Throws unless `y` can receive a result of this shape and of the type of `x`.
void check_output(const char* op, const Tensor& y, const Shape& shape, const Tensor& x);

// Throws unless `g`, the gradient called `what`, has this shape and the type of `x`.
void check_gradient(const char* op, const char* what, const Tensor& g, const Shape& shape, const Tensor& x);

}  // namespace mtyolo::ops

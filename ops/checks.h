// Checks shared by the ops: every message begins with the op's name and shows the operands (style.md H4).
#pragma once

#include "core/tensor.h"

namespace mtyolo::ops {

// The type that an op computes in: f32 for bf16 maps in blocks, else the type of `t`.
DType arithmetic_type(const Tensor& t);

// Throws unless `t` is defined and holds f32 or f64, or is a bf16 map in blocks. `what` names the operand:
// "input", "weight".
void check_floating(const char* op, const char* what, const Tensor& t);
// The same, and f32 only.
void check_float32(const char* op, const char* what, const Tensor& t);
// Throws unless `t` is such a tensor of four dimensions N,C,H,W.
void check_image(const char* op, const char* what, const Tensor& t);
// Throws unless `shape` has four dimensions N,C,H,W.
void check_image_shape(const char* op, const char* what, const Shape& shape);
// Below: the type of a tensor fits x if both are maps in blocks, or both plain, of the same type; otherwise
// if ops compute with them in the same type, as for weights in f32 beside a bf16 map. Throws unless `t` has a
// type that fits `x`.
void check_same_type(const char* op, const char* what, const Tensor& t, const Tensor& x);
// Throws unless `y` can receive a result of this shape and of a type that fits `x`.
void check_output(const char* op, const Tensor& y, const Shape& shape, const Tensor& x);

// Throws unless `g`, the gradient called `what`, has this shape and a type that fits `x`.
void check_gradient(const char* op, const char* what, const Tensor& g, const Shape& shape, const Tensor& x);

}  // namespace mtyolo::ops

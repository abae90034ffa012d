#include "ops/checks.h"

namespace mtyolo::ops {
namespace {

bool fits(const Tensor& t, const Tensor& x) {
  if (t.is_blocked() == x.is_blocked()) return t.dtype() == x.dtype();
  return arithmetic_type(t) == arithmetic_type(x);
}

}  // namespace

DType arithmetic_type(const Tensor& t) {
  return t.is_blocked() && t.dtype() == DType::kBF16 ? DType::kF32 : t.dtype();
}

void check_floating(const char* op, const char* what, const Tensor& t) {
  MTYOLO_CHECK(t.defined(), "{}: {} is an undefined tensor", op, what);
  const DType type = arithmetic_type(t);
  MTYOLO_CHECK(type == DType::kF32 || type == DType::kF64, "{}: {} is {}, expected float32 or float64", op,
               what, t);
}

void check_float32(const char* op, const char* what, const Tensor& t) {
  MTYOLO_CHECK(t.defined() && t.dtype() == DType::kF32, "{}: {} is {}, expected float32", op, what, t);
}

void check_image(const char* op, const char* what, const Tensor& t) {
  check_floating(op, what, t);
  check_image_shape(op, what, t.shape());
}

void check_image_shape(const char* op, const char* what, const Shape& shape) {
  MTYOLO_CHECK(shape.rank() == 4, "{}: {} has shape {}, expected 4 dimensions N,C,H,W", op, what, shape);
}

void check_same_type(const char* op, const char* what, const Tensor& t, const Tensor& x) {
  MTYOLO_CHECK(t.defined() && fits(t, x), "{}: {} is {}, expected the type of the input {}", op, what, t, x);
}

void check_output(const char* op, const Tensor& y, const Shape& shape, const Tensor& x) {
  MTYOLO_CHECK(y.defined() && y.shape() == shape && fits(y, x),
               "{}: output is {}, expected {} {} for the input {}", op, y, shape, x.dtype(), x);
  MTYOLO_CHECK(y.storage()->writable(), "{}: output {} is read-only", op, y);
}

void check_gradient(const char* op, const char* what, const Tensor& g, const Shape& shape, const Tensor& x) {
  MTYOLO_CHECK(g.defined() && g.shape() == shape && fits(g, x), "{}: {} is {}, expected {} {}", op, what, g,
               shape, x.dtype());
}

}  // namespace mtyolo::ops

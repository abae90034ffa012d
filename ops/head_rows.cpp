#include "ops/head_rows.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"
#include "ops/cpu/kernels.h"

namespace mtyolo::ops {
namespace {

Shape rows_shape(const Tensor& raw, int64_t anchors) {
  MTYOLO_CHECK(anchors > 0 && raw.size(1) % anchors == 0,
               "head_rows: {} channels do not split into {} anchors", raw.size(1), anchors);
  return {raw.size(0), anchors, raw.size(2), raw.size(3), raw.size(1) / anchors};
}

}  // namespace

void head_rows_forward(Context& ctx, const Tensor& raw, int anchors, Tensor& rows) {
  check_image("head_rows", "raw", raw);
  check_output("head_rows", rows, rows_shape(raw, anchors), raw);
  MTYOLO_CHECK(rows.is_contiguous(), "head_rows: output {} is not contiguous", rows);
  if (raw.is_blocked()) return blocked::head_rows_forward(ctx, raw, anchors, rows);
  head_rows_cpu(ctx, raw, rows);
}

void head_rows_backward(Context& ctx, const Tensor& g_rows, GradMode mode, Tensor& g_raw) {
  check_image("head_rows_grad", "g_raw", g_raw);
  MTYOLO_CHECK(g_rows.defined() && g_rows.rank() == 5 && g_rows.is_contiguous(),
               "head_rows_grad: g_rows is {}, expected a contiguous [N,A,ny,nx,no]", g_rows);
  check_gradient("head_rows_grad", "g_rows", g_rows, rows_shape(g_raw, g_rows.size(1)), g_raw);
  check_output("head_rows_grad", g_raw, g_raw.shape(), g_rows);
  if (g_raw.is_blocked()) return blocked::head_rows_backward(ctx, g_rows, mode, g_raw);
  head_rows_grad_cpu(ctx, g_rows, mode, g_raw);
}

}  // namespace mtyolo::ops

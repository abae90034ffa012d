// A raw head map with one row per prediction, as losses read it.
//   rows[n,a,i,j,k] = raw[n, a*no + k, i, j]
//   raw [N,A*no,ny,nx], rows [N,A,ny,nx,no] contiguous f32 (or f64)
// Throws Error when the channels are no multiple of `anchors`. Source: graph.md 3.4 (permute of the head).
#pragma once

#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::ops {

void head_rows_forward(Context& ctx, const Tensor& raw, int anchors, Tensor& rows);
void head_rows_backward(Context& ctx, const Tensor& g_rows, GradMode mode, Tensor& g_raw);

}  // namespace mtyolo::ops

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

// Calls f(n, channel, i, j, offset in rows) for every element of rows [N,A,ny,nx,no].
template <class F>
void for_rows(Context& ctx, const Shape& rows, F&& f) {
  const int64_t anchors = rows[1], ny = rows[2], nx = rows[3], no = rows[4];
  ctx.pool().parallel_for(rows[0] * anchors * ny, [&](int64_t task) {
    const int64_t n = task / (anchors * ny), a = task / ny % anchors, i = task % ny;
    for (int64_t j = 0; j < nx; ++j)
      for (int64_t k = 0; k < no; ++k) f(n, a * no + k, i, j, (task * nx + j) * no + k);
  });
}

}  // namespace

void head_rows_cpu(Context& ctx, const Tensor& raw, Tensor& rows) {
  dispatch_float(raw.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View4<const T> from(raw);
    T* to = rows.data<T>();
    for_rows(ctx, rows.shape(),
             [&](int64_t n, int64_t c, int64_t i, int64_t j, int64_t at) { to[at] = from(n, c, i, j); });
  });
}

void head_rows_grad_cpu(Context& ctx, const Tensor& g_rows, GradMode mode, Tensor& g_raw) {
  dispatch_float(g_rows.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = g_rows.data<T>();
    const View4<T> to(g_raw);
    for_rows(ctx, g_rows.shape(), [&](int64_t n, int64_t c, int64_t i, int64_t j, int64_t at) {
      store(to(n, c, i, j), double(from[at]), mode);
    });
  });
}

}  // namespace mtyolo::ops

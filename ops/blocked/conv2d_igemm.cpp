// "cpu.igemm": conv2d on plain tensors through the blocked kernels.
#include <algorithm>

#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {
namespace {

Tensor map_memory(Context& ctx, const Shape& s, int halo) {
  return Tensor::empty({std::max<int64_t>(1, map_floats(int(s[0]), int(s[1]), int(s[2]), int(s[3]), halo))},
                       DType::kF32, ctx.allocator());
}

Map map_over(const Tensor& memory, const Shape& s, int halo) {
  return make_map(memory.data<float>(), int(s[0]), int(s[1]), int(s[2]), int(s[3]), halo);
}

}  // namespace

const char* igemm_refuses(const Conv2dForward::Query& q) {
  if (q.x.is_blocked()) return "takes no blocked map";
  return q.x.dtype() == DType::kF32 && q.weight.dtype() == DType::kF32 ? nullptr : "needs f32";
}

void run_on_maps(Context& ctx, const Tensor& x, int halo, Tensor& y,
                 const std::function<void(const ConvCall&)>& run) {
  const Tensor x_memory = map_memory(ctx, x.shape(), halo), y_memory = map_memory(ctx, y.shape(), 0);
  const ConvCall call{map_over(x_memory, x.shape(), halo), map_over(y_memory, y.shape(), 0), {}, {}};
  pack(ctx, x, call.x);
  run(call);
  unpack(ctx, call.y, y);
}

void igemm_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2d& p,
                   Tensor& y) {
  run_on_maps(ctx, x, std::max(p.pad_h, p.pad_w), y,
              [&](const ConvCall& call) { conv2d(ctx, PackedConv(ctx, weight, bias, p), call); });
}

}  // namespace mtyolo::ops::blocked

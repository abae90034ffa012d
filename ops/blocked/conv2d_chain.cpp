#include "ops/blocked/conv2d_chain.h"

#include <algorithm>

namespace mtyolo::ops::blocked {
void conv2d(Context& ctx, const ConvChain& chain, const ConvCall& call) {
  const Conv2d& p = chain.second->params();
  const int channels = chain.first->out_channels(), halo = std::max(p.pad_h, p.pad_w), h = call.y.view.h;
  const Shape between = conv2d_shape({call.x.n, call.x.view.channels, call.x.view.h, call.x.view.w},
                                     {channels, chain.first->in_channels() / chain.first->params().groups,
                                      chain.first->params().kernel_h, chain.first->params().kernel_w},
                                     chain.first->params());
  const Shape want =
      conv2d_shape(between, {chain.second->out_channels(), channels / p.groups, p.kernel_h, p.kernel_w}, p);
  MTYOLO_CHECK(want == Shape({call.y.n, call.y.view.channels, h, call.y.view.w}) &&
                   chain.second->in_channels() == channels,
               "conv2d: y is [{},{},{},{}], expected {}", call.y.n, call.y.view.channels, h, call.y.view.w,
               want);
  // Enough tasks that the last ones finish together, and few rows made twice.
  const int rows = std::clamp(h * call.y.n / (8 * ctx.pool().size()), 2, 16);
  const int mid_h = int(between[2]), mid_w = int(between[3]), reach = p.dilation_h * (p.kernel_h - 1) + 1;
  const int most = std::min(mid_h, (rows - 1) * p.stride_h + reach);
  const int64_t scratch = map_floats(1, channels, most, mid_w, halo);
  reserve_scratch(ctx, scratch);
  const int bands = (h + rows - 1) / rows;
  ctx.pool().parallel_for(int64_t(call.y.n) * bands, [&](int64_t i) {
    const int image = int(i / bands), begin = int(i % bands) * rows, end = std::min(h, begin + rows);
    const int first = std::max(0, begin * p.stride_h - p.pad_h);
    const int last = std::min(mid_h, (end - 1) * p.stride_h - p.pad_h + reach);
    const Tensor memory = Tensor::empty({scratch}, DType::kF32, ctx.allocator());
    Map map = make_map(memory.raw(), 1, channels, last - first, mid_w, halo, kBlock, chain.type);
    zero_halo(map.view, 0, map.blocks());
    map.view = moved(map.view, -first * map.view.row_stride);  // numbered as in the whole map
    ConvCall part = call;
    part.x = call.x, part.x.view = call.x.image(image);
    ConvCall one{part.x, map, {}, chain.between};
    for (int panel = 0; panel < chain.first->panels(); ++panel)
      chain.first->compute(one, 0, panel, first, last);
    part.x = map;
    part.y.view = call.y.image(image);
    if (call.residual) part.residual->view = call.residual->image(image);
    for (int panel = 0; panel < chain.second->panels(); ++panel)
      chain.second->compute(part, 0, panel, begin, end);
  });
}

}  // namespace mtyolo::ops::blocked

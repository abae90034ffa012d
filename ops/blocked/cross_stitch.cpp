// Cross-stitch units on blocked maps: bound by memory, so plain loops over runs of 16 lanes do.
#include "ops/blocked/training.h"

namespace mtyolo::ops::blocked {

Tensor pack_cross_stitch(const Tensor& weight) {
  const int64_t blocks = (weight.size(1) + kBlock - 1) / kBlock;
  Tensor packed = Tensor::zeros({weight.size(0), blocks * kBlock});
  packed.slice(1, 0, weight.size(1)).copy_from(weight);
  return packed;
}

void cross_stitch(Context& ctx, std::span<const Map> x, const Tensor& packed, const Map& y) {
  for_blocks(ctx, y, [&](int image, int begin, int end) {
    const MapView to = y.image(image);
    std::vector<MapView> from;
    for (const Map& map : x) from.push_back(map.image(image));
    with_type(to, [&](auto value) {
      using T = decltype(value);
      for (int b = begin; b < end; ++b)
        for (int i = 0; i < to.h; ++i)
          for (int j = 0; j < to.w; ++j) {
            float sum[kBlock] = {};
            for (size_t k = 0; k < from.size(); ++k) {
              const T* in = element<T>(from[k], b * kBlock, i, j);
              const float* weight = packed.data<float>() + int64_t(k) * packed.size(1) + int64_t(b) * kBlock;
              for (int lane = 0; lane < kBlock; ++lane) {
                const float term = weight[lane] * float(in[lane]);
                sum[lane] = k == 0 ? term : sum[lane] + term;
              }
            }
            T* out = element<T>(to, b * kBlock, i, j);
            for (int lane = 0; lane < kBlock; ++lane) out[lane] = T(sum[lane]);
          }
    });
  });
}

void cross_stitch_forward(Context& ctx, std::span<const Tensor> x, const Tensor& weight, Tensor& y) {
  std::vector<Map> maps;
  for (const Tensor& t : x) maps.push_back(map_of(t));
  const Map to = map_of(y);
  cross_stitch(ctx, maps, pack_cross_stitch(weight), to);
  zero_halo(ctx, to);
}

// An implicit factor (ops/scale_shift.h) has the same gradients.
void cross_stitch_backward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& gy,
                           GradMode mode, Tensor& gx, Tensor& g_weight) {
  const Shape vector{1, x.size(1), 1, 1};
  Tensor sum = g_weight.defined() ? Tensor::zeros(vector) : Tensor();
  blocked::scale_shift_backward(ctx, x, weight.reshape(vector), gy, {ImplicitKind::kMul}, mode, gx, sum);
  if (!sum.defined()) return;
  for (int64_t c = 0; c < x.size(1); ++c)
    g_weight.data<float>()[c * g_weight.stride(0)] += sum.data<float>()[c];
}

}  // namespace mtyolo::ops::blocked

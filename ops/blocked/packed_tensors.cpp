#include "ops/blocked/packed_tensors.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace mtyolo::ops::blocked {
namespace {

using Vec4 = float __attribute__((vector_size(16)));

// Four rows of `count` numbers each, count a multiple of 4, become rows of four: to[offset(j)] = row a, place
// j, where j = lane * taps + tap.
void gather_four(const float* from, int64_t row, int64_t count, int64_t taps, float* to, int64_t tap_stride,
                 int64_t lane_stride) {
  int64_t tap = 0;
  for (int64_t j = 0; j < count; j += 4) {
    Vec4 in[4];
    for (int a = 0; a < 4; ++a) std::memcpy(&in[a], from + a * row + j, sizeof(Vec4));
    const Vec4 low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
    const Vec4 low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
    const Vec4 high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
    const Vec4 high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
    const Vec4 out[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                         __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                         __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                         __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
    for (const Vec4& v : out) {
      std::memcpy(to, &v, sizeof(Vec4));
      to += tap_stride;
      if (++tap == taps) tap = 0, to += lane_stride - taps * tap_stride;
    }
  }
}

int64_t padded(int out_channels, int panel) { return int64_t(out_channels + panel - 1) / panel * panel; }

}  // namespace

// Rows of a weight lie a power of two apart: reading along them and scattering into the small destination
// keeps them from evicting each other from the first-level cache.
void gather_weight(const Tensor& weight, int out, int outs, int in, int ins, float* to, int64_t tap_stride,
                   int64_t lane_stride) {
  const int64_t out_stride = weight.stride(0), in_stride = weight.stride(1);
  const int64_t kernel_h = weight.size(2), kernel_w = weight.size(3);
  const bool by_out = out_stride >= in_stride;
  const int64_t outer = by_out ? outs : ins, inner = by_out ? ins : outs;
  const int64_t outer_from = by_out ? out_stride : in_stride, inner_from = by_out ? in_stride : out_stride;
  const int64_t outer_to = by_out ? 1 : lane_stride, inner_to = by_out ? lane_stride : 1;
  const float* first = weight.data<float>() + out * out_stride + in * in_stride;
  const int64_t taps = kernel_h * kernel_w;
  if (outs % 4 == 0 && ins % 4 == 0 && in_stride == taps && weight.stride(2) == kernel_w &&
      weight.stride(3) == 1) {
    for (int64_t a = 0; a < outs; a += 4)
      gather_four(first + a * out_stride, out_stride, ins * taps, taps, to + a, tap_stride, lane_stride);
    return;
  }
  for (int64_t a = 0; a < outer; ++a)
    for (int64_t u = 0; u < kernel_h; ++u)
      for (int64_t v = 0; v < kernel_w; ++v) {
        const float* from = first + a * outer_from + u * weight.stride(2) + v * weight.stride(3);
        float* at = to + a * outer_to + (u * kernel_w + v) * tap_stride;
        if (inner_from == 1 && inner_to == 1) std::copy_n(from, inner, at);
        else
          for (int64_t b = 0; b < inner; ++b) at[b * inner_to] = from[b * inner_from];
      }
}

PackedTensors PackedTensors::make(Context& ctx, int64_t floats, int panel, int out_channels,
                                  const Tensor& bias) {
  PackedTensors t{Tensor::empty({floats}, DType::kF32, ctx.allocator()),
                  Tensor::zeros({padded(out_channels, panel)}, DType::kF32, ctx.allocator())};
  if (!bias.defined()) return t;
  MTYOLO_CHECK(bias.numel() == out_channels, "conv2d: bias {} for {} output channels", bias, out_channels);
  t.bias.slice(0, 0, out_channels).copy_from(bias.reshape({out_channels}));
  return t;
}

void PackedTensors::check(int64_t floats, int panel, int out_channels) const {
  const Shape want{floats}, want_bias{padded(out_channels, panel)};
  const auto aligned = [](const Tensor& t) { return reinterpret_cast<uintptr_t>(t.raw()) % 64 == 0; };
  MTYOLO_CHECK(aligned(weights) && aligned(bias), "conv2d: packed weights do not begin at multiples of 64");
  MTYOLO_CHECK(weights.dtype() == DType::kF32 && weights.shape() == want && bias.dtype() == DType::kF32 &&
                   bias.shape() == want_bias,
               "conv2d: packed weights {} and bias {}, expected f32 {} and {}", weights, bias, want,
               want_bias);
}

}  // namespace mtyolo::ops::blocked

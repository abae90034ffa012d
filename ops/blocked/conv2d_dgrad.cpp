// Convolution and the gradient of its input on blocked tensors.
//
// The gradient of the input is a convolution of gy. With stride s the rows i = s*a + phase of gx read the
// taps u = first + s*t with first = (phase + pad) mod s, from the rows a + offset - t of gy, offset = (phase
// + pad - first) / s: a convolution of stride 1 with the taps in reverse and the padding taps - 1 - offset
// (which may be negative). Likewise for columns: s*s small convolutions with the multiplications of the
// forward pass in all.
#include <algorithm>
#include <cstring>

#include "ops/blocked/training.h"
#include "ops/blocked/winograd.h"

namespace mtyolo::ops::blocked {
namespace {

// The rows (or columns) of gx with one remainder.
struct Phase {
  int first_tap = 0, taps = 0;  // taps first_tap, first_tap + stride, ...
  int pad = 0;                  // of the convolution over gy
  int size = 0;                 // rows of gx
  int halo = 0;                 // of gy that it reads
};

Phase phase_of(int remainder, int size, int out_size, int kernel, int stride, int pad, int dilation) {
  Phase p;
  p.size = (size - remainder + stride - 1) / stride;
  p.first_tap = (remainder + pad) % stride;
  p.taps = std::max(0, (kernel - p.first_tap + stride - 1) / stride);
  p.pad = dilation * (p.taps - 1) - (remainder + pad - p.first_tap) / stride;
  const int last = p.size - 1 - p.pad + dilation * (p.taps - 1);  // row of gy
  if (p.taps > 0 && p.size > 0) p.halo = std::max({0, p.pad, last - (out_size - 1)});
  return p;
}

// [O,C/G,kh,kw] as the weight [C,O/G,taps_h,taps_w] of a phase: a view, or with groups a rearranged copy.
Tensor phase_weight(const Tensor& weight, const Conv2d& p, const Phase& rows, const Phase& columns) {
  const int64_t out = weight.size(0), in = weight.size(1), groups = p.groups;
  const int64_t kernel_w = p.kernel_w, taps = p.kernel_h * kernel_w;
  Tensor plain = weight;
  if (groups > 1) {
    plain = Tensor::empty({out / groups, in * groups, p.kernel_h, kernel_w});
    for (int64_t g = 0; g < groups; ++g)
      plain.slice(1, g * in, (g + 1) * in)
          .copy_from(weight.slice(0, g * out / groups, (g + 1) * out / groups));
  }
  const int64_t last_row = rows.first_tap + int64_t(rows.taps - 1) * p.stride_h;
  const int64_t last_column = columns.first_tap + int64_t(columns.taps - 1) * p.stride_w;
  return Tensor::view(plain.storage(), plain.offset() + last_row * kernel_w + last_column,
                      {in * groups, out / groups, rows.taps, columns.taps},
                      {taps, in * groups * taps, -p.stride_h * kernel_w, -int64_t(p.stride_w)}, DType::kF32);
}

Tensor with_halo(Context& ctx, const Tensor& t, int halo) {
  if (t.halo() >= halo) return t;
  Tensor wide = Tensor::empty_blocked(t.shape(), halo, ctx.allocator(), t.dtype());
  copy(ctx, t, wide);
  return wide;
}

// The pixels of gx with row remainder `row` and column remainder `column`.
Map phase_map(const Map& gx, const Conv2d& p, int row, int column, const Phase& rows, const Phase& columns) {
  Map m = gx;
  m.view = moved(m.view, row * m.view.row_stride + int64_t(column) * kBlock);
  m.view.row_stride *= p.stride_h;
  m.view.pixel = kBlock * p.stride_w;
  m.view.h = rows.size, m.view.w = columns.size;
  m.view.halo = 0;
  return m;
}

void fill_zero(Context& ctx, const Map& map) {
  for_blocks(ctx, map, [&](int image, int begin, int end) {
    const MapView m = map.image(image);
    for (int b = begin; b < end; ++b)
      for (int i = 0; i < m.h; ++i)
        std::memset(moved(m, b * m.block_stride + i * m.row_stride).data, 0,
                    element_bytes(m, int64_t(m.w) * kBlock));
  });
}

// A pair of bf16 products costs what an f32 one does, so that Winograd's form would gain nothing.
bool takes_winograd(const Map& x, const Conv2d& p, int out_channels) {
  return x.view.type == Element::kF32 && winograd_refuses(p, x.view.channels, out_channels) == nullptr;
}

void forward(Context& ctx, const Map& x, const Tensor& weight, const Tensor& bias, const Conv2d& p,
             Tensor& y) {
  const Map out = map_of(y);
  const ConvCall call{x, out, {}, {}};
  if (x.view.pixel == kBlock && takes_winograd(x, p, out.view.channels))
    conv2d(ctx,
           WinogradConv(ctx, weight, bias, winograd_form(x.view.channels, out.view.channels, p.stride_h)),
           call);
  else conv2d(ctx, PackedConv(ctx, weight, bias, p, kernels(), x.view.type), call);
  zero_halo(ctx, out);
}

}  // namespace

const char* conv2d_refuses(const Conv2dForward::Query& q) {
  if (!q.x.is_blocked()) return "needs a blocked map";
  if (q.weight.dtype() != DType::kF32) return "needs f32";
  return q.x.halo() >= std::max(q.params.pad_h, q.params.pad_w) ? nullptr
                                                                : "the halo does not cover the padding";
}

void conv2d_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2d& p,
                    Tensor& y) {
  forward(ctx, map_of(x), weight, bias, p, y);
}

void conv2d_forward_plain(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2d& p, Tensor& y) {
  const PlainMap packed(ctx, x, std::max(p.pad_h, p.pad_w), y.dtype());
  forward(ctx, packed.map, weight, bias, p, y);
}

const char* conv2d_dgrad_refuses(const Conv2dBackwardInput::Query& q) {
  if (!q.gy.is_blocked() || !q.gx.is_blocked()) return "needs blocked maps";
  if (q.weight.dtype() != DType::kF32 || !q.weight.is_contiguous()) return "needs a contiguous f32 weight";
  const Conv2d& p = q.params;
  if ((p.stride_h > 1 || p.stride_w > 1) && (p.dilation_h > 1 || p.dilation_w > 1))
    return "takes no dilation together with a stride";
  return nullptr;
}

void conv2d_dgrad(Context& ctx, const Tensor& gy, const Tensor& weight, const Conv2d& p, GradMode mode,
                  Tensor& gx) {
  const Map to = map_of(gx);
  std::vector<Phase> rows, columns;
  for (int i = 0; i < p.stride_h; ++i)
    rows.push_back(phase_of(i, to.view.h, int(gy.size(2)), p.kernel_h, p.stride_h, p.pad_h, p.dilation_h));
  for (int j = 0; j < p.stride_w; ++j)
    columns.push_back(phase_of(j, to.view.w, int(gy.size(3)), p.kernel_w, p.stride_w, p.pad_w, p.dilation_w));
  int halo = 0, fewest_taps = p.kernel_h;
  for (const std::vector<Phase>* axis : {&rows, &columns})
    for (const Phase& phase : *axis) {
      halo = std::max(halo, phase.halo);
      fewest_taps = std::min(fewest_taps, phase.taps);
    }
  const Tensor source = with_halo(ctx, gy, halo);
  if (mode == GradMode::kOverwrite && fewest_taps == 0) fill_zero(ctx, to);  // pixels that no output reads
  for (int i = 0; i < p.stride_h; ++i)
    for (int j = 0; j < p.stride_w; ++j) {
      const Phase &row = rows[size_t(i)], &column = columns[size_t(j)];
      if (row.taps == 0 || column.taps == 0 || row.size <= 0 || column.size <= 0) continue;
      const Conv2d part{row.taps,     column.taps,  1,       1, row.pad, column.pad,
                        p.dilation_h, p.dilation_w, p.groups};
      const Tensor w = phase_weight(weight, p, row, column);
      ConvCall call{map_of(source), phase_map(to, p, i, j, row, column), {}, {}};
      if (mode == GradMode::kAccumulate) call.residual = call.y;
      if (takes_winograd(call.x, part, int(w.size(0))))
        conv2d(ctx, WinogradConv(ctx, w, {}, winograd_form(call.x.view.channels, int(w.size(0)))), call);
      else conv2d_part(ctx, PackedConv(ctx, w, {}, part, kernels(), to.view.type), call);
    }
  if (mode == GradMode::kOverwrite) zero_halo(ctx, to);
}

}  // namespace mtyolo::ops::blocked

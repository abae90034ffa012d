// The ops of a training step on blocked tensors (Tensor::empty_blocked): "cpu.blocked" of ops/*.h, and what
// has no choice of implementation. Contracts stand in ops/*.h; here besides:
//   - activations and their gradients are blocked tensors, all f32 or all bf16; weights, statistics and their
//     gradients plain contiguous f32; bf16 maps are computed with in f32 and rounded when they are written;
//   - a result that is overwritten gets a halo of zeros; one that is added to keeps its halo;
//   - lanes beyond the channels of a result are written too (with anything), so a channel range that is
//   written
//     on its own ends at a multiple of 16 or at the last channel of its tensor;
//   - tasks and the order of sums depend on shapes alone, never on the number of threads.
#pragma once

#include <algorithm>
#include <span>

#include "ops/batch_norm.h"
#include "ops/blocked/blocked.h"
#include "ops/scale_shift.h"
#include "ops/space_to_depth.h"
#include "ops/upsample.h"

namespace mtyolo::ops::blocked {

Map map_of(const Tensor& blocked);  // throws unless blocked
// [N,C,H,W] of any strides, f32 or u8 (divided by 255), to a new blocked tensor; and one back to plain f32.
Tensor to_blocked(Context& ctx, const Tensor& plain, int halo, DType type = DType::kF32);
Tensor to_plain(Context& ctx, const Tensor& blocked);

// A plain tensor as a map with memory of its own: 4 elements per pixel for images.
struct PlainMap {
  PlainMap(Context& ctx, const Tensor& plain, int halo, DType type);
  Tensor memory;
  Map map;
};

const char* conv2d_refuses(const Conv2dForward::Query& q);  // x's halo must cover the padding
void conv2d_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2d& p,
                    Tensor& y);
// The same for a plain x, as images are.
void conv2d_forward_plain(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2d& p, Tensor& y);

// Stride 1 or any stride without dilation, any groups. A halo of gy that is too small costs a copy.
const char* conv2d_dgrad_refuses(const Conv2dBackwardInput::Query& q);
void conv2d_dgrad(Context& ctx, const Tensor& gy, const Tensor& weight, const Conv2d& p, GradMode mode,
                  Tensor& gx);
// x blocked with a halo that covers the padding, or plain.
const char* conv2d_wgrad_refuses(const Conv2dBackwardWeight::Query& q);
void conv2d_wgrad(Context& ctx, const Tensor& x, const Tensor& gy, const Conv2d& p, GradMode mode, Tensor& gw,
                  Tensor& gb);

const char* batch_norm_refuses(const BatchNormTrainForward::Query& q);
void batch_norm_forward(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNormTrain& p,
                        const BatchNormSaved& saved, Tensor& y);
void batch_norm_again(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNormTrain& p,
                      const BatchNormSaved& saved, Tensor& y);
const char* batch_norm_grad_refuses(const BatchNormTrainBackward::Query& q);
void batch_norm_backward(Context& ctx, const Tensor& x, const Tensor& gy, const BatchNormStats& stats,
                         const BatchNormTrain& p, const BatchNormSaved& saved, const BatchNormGrads& grads);

const char* activation_refuses(const ActivationForward::Query& q);
void activation_forward(Context& ctx, const Tensor& x, const Activation& p, Tensor& y);
const char* activation_grad_refuses(const ActivationBackward::Query& q);
void activation_backward(Context& ctx, const Tensor& x, const Tensor& gy, const Activation& p, GradMode mode,
                         Tensor& gx);

const char* max_pool2d_refuses(const MaxPool2dForward::Query& q);
void max_pool2d_forward(Context& ctx, const Tensor& x, const MaxPool2d& p, Tensor& y);
const char* max_pool2d_grad_refuses(const MaxPool2dBackward::Query& q);
void max_pool2d_backward(Context& ctx, const Tensor& x, const Tensor& gy, const MaxPool2d& p, GradMode mode,
                         Tensor& gx);

const char* upsample_refuses(const UpsampleForward::Query& q);
void upsample_forward(Context& ctx, const Tensor& x, const Upsample& p, Tensor& y);
const char* upsample_grad_refuses(const UpsampleBackward::Query& q);
void upsample_backward(Context& ctx, const Tensor& gy, const Upsample& p, GradMode mode, Tensor& gx);

void add_forward(Context& ctx, const Tensor& a, const Tensor& b, Tensor& y);
void accumulate(Context& ctx, const Tensor& source, Tensor& destination);  // destination += source
void copy(Context& ctx, const Tensor& source, Tensor& destination);

// An input that already is its range of y is left alone.
void concat_forward(Context& ctx, std::span<const Tensor> inputs, Tensor& y);
// gx = channels [first, first + C) of gy.
void concat_backward(Context& ctx, const Tensor& gy, int first, GradMode mode, Tensor& gx);

void scale_shift_forward(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p,
                         Tensor& y);
void scale_shift_backward(Context& ctx, const Tensor& x, const Tensor& implicit, const Tensor& gy,
                          const ScaleShift& p, GradMode mode, Tensor& gx, Tensor& g_implicit);

void cross_stitch_forward(Context& ctx, std::span<const Tensor> x, const Tensor& weight, Tensor& y);
void cross_stitch_backward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& gy,
                           GradMode mode, Tensor& gx, Tensor& g_weight);

void space_to_depth_forward(Context& ctx, const Tensor& x, Tensor& y);  // x may be plain
void space_to_depth_backward(Context& ctx, const Tensor& gy, GradMode mode, Tensor& gx);

// rows and g_rows plain and contiguous.
void head_rows_forward(Context& ctx, const Tensor& raw, int anchors, Tensor& rows);
void head_rows_backward(Context& ctx, const Tensor& g_rows, GradMode mode, Tensor& g_raw);

// sums[c] += sum of gy over images and pixels; sums [C] plain.
void sum_pixels(Context& ctx, const Tensor& gy, Tensor& sums);

// Runs f(image, first block, end) over all blocks of a map, a few blocks per task.
template <class F>
void for_blocks(Context& ctx, const Map& map, F&& f) {
  const int blocks = map.blocks();
  const int pieces = std::min(blocks, 4 * ctx.pool().size());
  ctx.pool().parallel_for(int64_t(map.n) * pieces, [&](int64_t i) {
    const int image = int(i / pieces), piece = int(i % pieces);
    f(image, piece * blocks / pieces, (piece + 1) * blocks / pieces);
  });
}

// A row of space_to_depth: calls f(element of the map with 4 times the channels, element of the other), which
// row_of(channel, row) gives at column 0, its columns lying `step` apart. Short pieces stay in the cache.
template <class T, class Rows, class F>
void depth_row(const MapView& deep, int row, int channels, Rows&& row_of, int64_t step, F&& f) {
  constexpr int kPiece = 64;
  for (int first = 0; first < deep.w; first += kPiece)
    for (int b = 0; b < 4; ++b)
      for (int c = 0; c < channels; ++c) {
        T* d = element<T>(deep, b * channels + c, row, first);
        auto* w = row_of(c, 2 * row + b % 2) + (2 * first + b / 2) * step;
        for (int j = 0; j < std::min(kPiece, deep.w - first); ++j, d += deep.pixel, w += 2 * step) f(*d, *w);
      }
}
template <class F>
void for_depth(Context& ctx, const Map& deep, const Map& wide, F&& f) {
  ctx.pool().parallel_for(int64_t(deep.n) * deep.view.h, [&](int64_t i) {
    const int image = int(i / deep.view.h), row = int(i % deep.view.h);
    const MapView to = deep.image(image), from = wide.image(image);
    with_type(to, [&]<class T>(T) {
      depth_row<T>(
          to, row, from.channels, [&](int c, int r) { return element<T>(from, c, r, 0); }, from.pixel, f);
    });
  });
}

}  // namespace mtyolo::ops::blocked

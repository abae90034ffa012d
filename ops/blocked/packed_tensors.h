// What a packed convolution holds: weights in the order its kernel reads them and the bias of whole panels.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace mtyolo::ops::blocked {

struct PackedTensors {
  Tensor weights, bias;

  // Room for `floats` weights; the bias [out_channels] of any floating type, or undefined, padded with zeros.
  static PackedTensors make(Context& ctx, int64_t floats, int panel, int out_channels, const Tensor& bias);
  // Throws Error unless the sizes are those that make gives.
  void check(int64_t floats, int panel, int out_channels) const;
  size_t size_bytes() const { return weights.size_bytes() + bias.size_bytes(); }
};

// Weights of outputs [out, out + outs) and input channels [in, in + ins), f32 of any strides:
//   to[tap * tap_stride + lane * lane_stride + o]
void gather_weight(const Tensor& weight, int out, int outs, int in, int ins, float* to, int64_t tap_stride,
                   int64_t lane_stride);

}  // namespace mtyolo::ops::blocked

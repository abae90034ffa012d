// Convolution 3x3, stride 1, by Winograd's F(2x2, 3x3): 16 multiplications where the direct form needs 36,
// or F(4x4, 3x3): 36 instead of 144, and weights of four times the plain ones' size. With stride 2, 2x2
// outputs of 25 instead of 36 multiplications and weights of twice the size.
// The rounding errors are some times those of the direct form (tests/ops/blocked measures them); within a
// form the order of summation of an output depends on neither its channel's position, the number of channels,
// threads or images.
#pragma once

#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {

// Why a convolution of such maps is not computed this way, or nullptr if it can be and pays.
const char* winograd_refuses(const Conv2d& params, int in_channels, int out_channels,
                             Element type = Element::kF32);

// Stride 1: pixels of a side of an output tile. kStrided is stride 2, whole blocks of input channels.
enum class WinogradForm : int32_t { kF2 = 2, kStrided = 3, kF4 = 4 };

// Stride 1: kF4 where its weights are not too large.
WinogradForm winograd_form(int in_channels, int out_channels, int stride = 1);

// Transformed weights U = G g G^T, [panel][position][input block][lane][16 or 32 output channels].
class WinogradConv {
 public:
  // weight [O,C,3,3] of any strides, bias [O] or undefined, any floating type.
  WinogradConv(Context& ctx, const Tensor& weight, const Tensor& bias, WinogradForm form,
               const KernelTable& table = kernels());
  // From what another one, of this form and table, packed. Throws Error when the sizes do not fit.
  WinogradConv(PackedTensors packed, int in_channels, int out_channels, WinogradForm form,
               const KernelTable& table = kernels());
  const PackedTensors& packed() const { return packed_; }
  size_t size_bytes() const { return packed_.size_bytes(); }

 private:
  friend void conv2d(Context&, const WinogradConv&, const ConvCall&);
  void pack_panel(Context& ctx, int panel, const Tensor& weight);
  struct Part;
  void run_part(Context& ctx, const ConvCall& call, const Part& part) const;
  void multiply(const WinogradTask& task, int panel, const float* no_bias) const;
  int64_t panel_floats() const { return int64_t(in_channels_) * table_->panel; }
  int64_t panel_stride() const;  // floats
  int64_t floats() const { return panels() * panel_stride(); }
  int panels() const { return (out_channels_ + table_->panel - 1) / table_->panel; }

  const KernelTable* table_;
  WinogradForm form_;
  int in_channels_, out_channels_;
  PackedTensors packed_;
};

// y = activation(conv(x) + bias) + residual, x of either type, y and residual of one. x needs a halo of at
// least 1.
void conv2d(Context& ctx, const WinogradConv& conv, const ConvCall& call);

// "cpu.winograd" of ops/conv2d.h on plain f32 tensors.
const char* winograd_refuses_query(const Conv2dForward::Query& query);
void winograd_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2d& p, Tensor& y);

}  // namespace mtyolo::ops::blocked

// Convolution 1x1, stride 1, by one step of Strassen's method in Winograd's form (Knuth, TAOCP 2, 4.6.4,
// answer to exercise 47): a matrix product Y = W X in seven products of half the size each way instead of
// eight. W is cut into halves of the output and of the input channels, X and Y into the upper and the lower
// rows of a chunk; where these are odd in number the middle row belongs to both.
//   S1 = W21 + W22   S2 = S1 - W11    S3 = W11 - W21   S4 = W12 - S2
//   T1 = X12 - X11   T2 = X22 - T1    T3 = X22 - X12   T4 = X21 - T2
//   U1 = W11 X11     U2 = U1 + S2 T2  U3 = U2 + S3 T3
//   Y11 = U1 + W12 X21   Y12 = U2 + S1 T1 + S4 X22   Y21 = U3 + W22 T4   Y22 = U3 + S1 T1
// The weights keep their size: S2 takes the place of W21, and S1 = W11 + S2, S3 = W22 - S2, S4 = W12 - S2
// are formed while a product loads them. The rounding errors are some times those of the direct form
// (tests/ops/blocked measures them); the order of summation of an output depends on neither the number of
// threads nor of images.
#pragma once

#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {

// Why a convolution of such maps is not computed this way, or nullptr if it can be and pays.
const char* strassen_refuses(const Conv2d& params, int in_channels, int out_channels,
                             Element type = Element::kF32, const KernelTable& table = kernels());

class StrassenConv {
 public:
  // weight [O,C,1,1] of any strides, bias [O] or undefined, any floating type; O a multiple of two panels, C
  // of 32.
  StrassenConv(Context& ctx, const Tensor& weight, const Tensor& bias, const KernelTable& table = kernels());
  // From what another one of this table packed. Throws Error when the sizes do not fit.
  StrassenConv(PackedTensors packed, int in_channels, int out_channels, const KernelTable& table = kernels());
  const PackedTensors& packed() const { return packed_; }

 private:
  friend void conv2d(Context&, const StrassenConv&, const ConvCall&);
  struct Part;
  void run_part(Context& ctx, const ConvCall& call, const Part& part) const;

  const KernelTable* table_;
  int in_channels_, out_channels_;
  PackedTensors packed_;  // weights [panel][input channel][16 or 32 output channels]
};

// As conv2d of PackedConv; x, y and residual f32, y neither x nor residual.
void conv2d(Context& ctx, const StrassenConv& conv, const ConvCall& call);

// "cpu.strassen" of ops/conv2d.h on plain f32 tensors.
const char* strassen_refuses_query(const Conv2dForward::Query& query);
void strassen_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2d& p, Tensor& y);

}  // namespace mtyolo::ops::blocked

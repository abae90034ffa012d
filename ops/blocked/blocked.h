// Activations in blocks of 16 channels, and the operations of the inference plan on them.
//
// A map [N, C, H, W] is stored as [N][ceil(C/16)][H + 2*halo][W + 2*halo][16], f32 or bf16 (--dtype bf16).
// The ops below take either type, the same for all their maps. A channel range that begins at a multiple of
// 16 is a view, so concatenation costs nothing; the halo is zero and stands for the padding of the
// convolutions that read the map. Lanes beyond C hold anything and are never read. Maps with at most 4
// channels that only a convolution reads (the image) use 4 elements per pixel, zero beyond C.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "ops/activation.h"
#include "ops/blocked/kernels.h"
#include "ops/blocked/packed_tensors.h"
#include "ops/conv2d.h"
#include "ops/detect_decode.h"
#include "ops/max_pool2d.h"

namespace mtyolo::ops::blocked {

// A map of a whole batch. Borrows its memory.
struct Map {
  MapView view;              // image 0
  int64_t image_stride = 0;  // elements between images
  int n = 1;

  MapView image(int i) const;
  Map channels(int first, int count) const;  // view; first must be a multiple of 16
  int blocks() const { return (view.channels + kBlock - 1) / kBlock; }
};

// Elements that a map needs, and the map over given memory.
int64_t map_floats(int n, int channels, int h, int w, int halo, int pixel = kBlock);
Map make_map(void* memory, int n, int channels, int h, int w, int halo, int pixel = kBlock,
             Element type = Element::kF32);
void zero_halo(Context& ctx, const Map& map);
void zero_halo(const MapView& image, int block_begin,
               int block_end);  // of some blocks, on the calling thread

// Before a loop whose tasks take scratch of so many floats each: then however many run at once, they find it
// in the allocator's cache, and a loop that is repeated asks the system for nothing.
void reserve_scratch(Context& ctx, int64_t floats);

// The best kernels of this machine (or those named by the environment variable MTYOLO_ISA), and those of the
// named instruction set ("baseline", "avx2", "avx512", "avx512bf16"; "neon"), nullptr if this machine cannot
// run it.
const KernelTable& kernels();
const KernelTable* kernels_for(std::string_view isa);

Epilogue to_epilogue(ActivationKind kind);

// Weights of a convolution in the order the kernel reads them: [panel][input block][kernel row][kernel
// column] [lane][16 or 32 output channels], for bf16 maps rounded to bf16, in pairs of lanes (ConvTask).
// Groups: each panel holds the input blocks its channels use, zeros elsewhere.
class PackedConv {
 public:
  // weight [O, C/groups, kh, kw] and bias [O] or undefined, any floating type, any strides.
  PackedConv(Context& ctx, const Tensor& weight, const Tensor& bias, const Conv2d& params,
             const KernelTable& table = kernels(), Element type = Element::kF32);
  // From what another one, of this table and type, packed. Throws Error when the sizes do not fit.
  PackedConv(PackedTensors packed, int in_channels, int out_channels, const Conv2d& params,
             const KernelTable& table = kernels(), Element type = Element::kF32);
  const PackedTensors& packed() const { return packed_; }
  const Conv2d& params() const { return params_; }
  int in_channels() const { return in_channels_; }
  int out_channels() const { return out_channels_; }
  size_t size_bytes() const { return packed_.size_bytes(); }
  int panels() const { return int(panels_.size()); }
  // One panel's rows [row_begin, row_end) of an image, on the calling thread.
  void compute(const struct ConvCall& call, int image, int panel, int row_begin, int row_end) const;

 private:
  friend void conv2d_part(Context&, const PackedConv&, const ConvCall&);
  struct Panel {
    int64_t offset;              // floats or pairs into the weights
    int block_begin, block_end;  // input blocks
  };
  int64_t lay_out();  // panels; gives the number of floats or pairs
  void pack_panel(Context& ctx, int panel, const Tensor& weight);
  void pack_block(int first, int last, int lane_begin, int lane_end, const Tensor& weight, float* to) const;

  const KernelTable* table_;
  Element type_;
  Conv2d params_;
  int in_channels_, out_channels_;
  std::vector<Panel> panels_;
  PackedTensors packed_;
};

// y = activation(conv(x)) + residual, x of the weights' type, y of either; the residual of y's type, with
// bf16 weights bf16. x's halo must cover the padding. Throws Error when shapes do not fit.
struct ConvCall {
  Map x, y;
  std::optional<Map> residual;
  Activation activation;
};
void conv2d(Context& ctx, const PackedConv& conv, const ConvCall& call);
// The same without a check of shapes: y's size says which outputs are wanted, the padding may be negative and
// y's pixels may lie apart.
void conv2d_part(Context& ctx, const PackedConv& conv, const ConvCall& call);

void max_pool2d(Context& ctx, const Map& x, const MaxPool2d& p, const Map& y);
void upsample(Context& ctx, const Map& x, int scale, const Map& y);  // scale 1 copies
void add(Context& ctx, const Map& a, const Map& b, const Map& y);
// Weights of ops/cross_stitch.h padded to whole blocks, and the unit; y is none of x.
Tensor pack_cross_stitch(const Tensor& weight);
void cross_stitch(Context& ctx, std::span<const Map> x, const Tensor& packed, const Map& y);
void activate(Context& ctx, const Map& y, const Activation& activation);  // in place

// Slow general forms for what is rare: channel ranges that do not begin at a multiple of 16.
void copy_channels(Context& ctx, const Map& x, const Map& y, int y_first);
void space_to_depth(Context& ctx, const Map& x, const Map& y);
// One channel of a pixel of a map of type T: float or BFloat16. with_type calls f(T{}) with the type of a
// map.
template <class T = float>
T* element(const MapView& m, int channel, int row, int column) {
  return static_cast<T*>(m.data) + (channel / kBlock) * m.block_stride + row * m.row_stride +
         int64_t(column) * m.pixel + channel % kBlock;
}
template <class F>
void with_type(const MapView& m, F&& f) {
  if (m.type == Element::kBF16) f(BFloat16{});
  else f(float{});
}
// The view moved by some elements; bytes of `count` elements.
MapView moved(const MapView& m, int64_t elements);
size_t element_bytes(const MapView& m, int64_t count);

// [N,C,H,W] of any strides, f32 or u8 (divided by 255 in f32), to a map of any type, and one back to f32.
void pack(Context& ctx, const Tensor& nchw, const Map& map);
void unpack(Context& ctx, const Map& map, Tensor& nchw);

// Packs x into a map with a halo, calls `run`, unpacks into y.
void run_on_maps(Context& ctx, const Tensor& x, int halo, Tensor& y,
                 const std::function<void(const ConvCall&)>& run);
// conv2d on plain f32 tensors: packs, runs, unpacks. The implementation "cpu.igemm" of ops/conv2d.h.
const char* igemm_refuses(const Conv2dForward::Query& query);
void igemm_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2d& p,
                   Tensor& y);

// Rows of one level into predictions [N, rows, columns], beginning at row `first_row`.
void detect_decode(Context& ctx, const Map& raw, const DetectDecode& p, Tensor& predictions,
                   int64_t first_row);

}  // namespace mtyolo::ops::blocked

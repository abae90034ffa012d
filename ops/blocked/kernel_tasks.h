// What the blocked-layout kernels (kernels.h) work on.
#pragma once

#include <cstdint>

namespace mtyolo::ops::blocked {

inline constexpr int kBlock = 16;     // channels per block
inline constexpr int kStemPixel = 4;  // elements per pixel of a map with at most 4 channels (the image)

enum class Epilogue : int32_t { kNone, kSilu, kLeakyRelu, kSigmoid, kRelu, kHardswish };

// Elements of a map. Kernels compute in f32; bf16 values are rounded to nearest even when they are stored.
enum class Element : int32_t { kF32, kBF16 };
struct Bf16 {
  uint16_t bits;
};

// A picture of one batch image in memory: block b, row i, column j, lane c is at
// data[b * block_stride + i * row_stride + j * pixel + c]; rows and columns -halo..-1 and h..h+halo-1 exist
// too.
struct MapView {
  void* data = nullptr;  // of `type`
  int64_t block_stride = 0, row_stride = 0;
  int32_t channels = 0, h = 0, w = 0, halo = 0, pixel = kBlock;
  Element type = Element::kF32;
};

// Convolution of rows [row_begin, row_end) of one image, for one panel of output channels. The pixels of y
// (and of the residual) may lie further apart than 16 elements (`pixel`): the gradient of a strided
// convolution writes every other one.
//   weight  [in blocks from block_begin][kernel_h][kernel_w][lanes of the block][panel], f32; for bf16 maps
//           pairs of lanes, [..][ceil(lanes/2)][panel][2], zero beyond the last
//   bias    [panel]
struct ConvTask {
  MapView x, y;
  MapView residual;  // added after the activation; data = nullptr for none
  const void* weight = nullptr;
  const float* bias = nullptr;
  int32_t block_begin = 0, block_end = 0;  // input blocks
  int32_t out_block = 0,
          out_blocks = 0;  // first output block of the panel, how many of it exist (1..panel/16)
  int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, dilation_h = 1,
          dilation_w = 1;
  int32_t row_begin = 0, row_end = 0;
  Epilogue epilogue = Epilogue::kNone;
  float slope = 0;
};

// A product of Strassen's form, 1x1, f32: y = activation((A + sign * B) x + bias + sums) + residual in rows
// [0, row_end) of one panel.
struct StrassenTask {
  ConvTask conv;                 // block_begin 0; its weight is A; no bias: nullptr
  const float* other = nullptr;  // B
  int32_t sign = 0, ahead = 0;   // ahead: asks for the pixels of the chunk below
  MapView sums, also;            // (A + sign * B) x is added to the second; data = nullptr for none
};

// Some rows of output tiles of one image by a WinogradForm (winograd_kernel.cpp).
struct WinogradTask {
  int32_t form = 2;
  MapView x, y;
  MapView residual;                        // data = nullptr for none
  float* v = nullptr;                      // transformed input  [position][blocks of x][tiles][16]
  float* m = nullptr;                      // products           [position][out_blocks][tiles][16]
  int64_t v_position = 0, m_position = 0;  // floats between positions
  int64_t tiles = 0;                       // (tile_row_end - tile_row_begin) * tile_columns
  int32_t tile_row_begin = 0, tile_row_end = 0, tile_columns = 0;
  const float* bias = nullptr;            // of the blocks
  int32_t out_block = 0, out_blocks = 0;  // blocks of y
  Epilogue epilogue = Epilogue::kNone;
  float slope = 0;
};

// Transformed weights U = G g G^T of 16 input channels and one panel of output channels.
struct WinogradWeightTask {
  int32_t form = 2;
  const float* g = nullptr;  // [lane][9][panel]
  float* u = nullptr;        // [position][lane][panel]
  int64_t u_position = 0;
  int32_t lanes = 0;
};

// Gradient of a weight, the products of two maps summed over pixels:
//   sums[lane][o] += sum over rows i, columns j of x[i * x_row + j * x_pixel + lane] * gy[i * gy_row + j*16 +
//   o]
// f32, or (outer_bf16) pairs of bf16 pixels in 32 bits as PairTask makes them, where a product is the sum of
// two. Distances count floats or pairs.
struct OuterTask {
  const void *x = nullptr, *gy = nullptr;
  int64_t x_row = 0, x_pixel = kBlock;
  int64_t gy_row = 0, gy_block = 0;  // between rows and between the blocks of a panel
  int32_t rows = 1, columns = 0;
  int32_t lanes = kBlock;  // 4, 8, 12 or 16
  int32_t blocks = 1;      // blocks of gy in the panel
  bool add = false;        // to sums; false: writes them
  float* sums = nullptr;   // [lanes][panel]
};

// Neighbouring bf16 pixels of a row, two by two: to[(i * pairs + k) * 16 + lane] holds pixel 2k of row i in
// its low and pixel 2k + 1, or zero, in its high half; pairs = ceil(columns / 2).
struct PairTask {
  const Bf16* from = nullptr;
  int64_t row = 0, pixel = kBlock;
  int32_t rows = 1, columns = 0;
  int32_t lanes = kBlock;  // 4 or 16 that may be read
  uint32_t* to = nullptr;
};

// Rows [row_begin, row_end) of one block of 16 channels, normalised or differentiated (batch_norm.h):
//   u = (x - mean) * scale + bias,  y = activation(u),  gu = gy * activation'(u),  xhat = (x - mean) *
//   inv_std
// The pointers hold the 16 values of the block.
struct NormTask {
  MapView x, gy, y;  // y: the result, or gx
  int32_t block = 0, row_begin = 0, row_end = 0;
  Epilogue epilogue = Epilogue::kNone;
  float slope = 0;
  bool add = false;  // to y
  const float *mean = nullptr, *inv_std = nullptr, *scale = nullptr, *bias = nullptr;
  const float *mean_gu = nullptr, *mean_gu_xhat = nullptr;  // null: gx = scale * gu
  float* sums = nullptr;  // [3][16] moments, or [2][16] sums of gu and of gu * xhat
};

struct PoolTask {
  MapView x, y;
  int32_t k = 2, stride = 2, pad = 0;
  float* best = nullptr;  // for windows that overlap: [x.h][y.w][16]
};

// Gradient of max pooling for one block; gx holds zeros or the sum so far. The buffers are for windows that
// overlap.
struct PoolGradTask {
  MapView x, gy, gx;
  int32_t k = 2, stride = 2, pad = 0;
  float* best = nullptr;      // [x.h][y.w][16]: the largest value of a row's part of the window
  int32_t* column = nullptr;  // likewise: its column
  float* sum = nullptr;       // [x.h][x.w][16]: what is added to gx
};

// Raw head map of one image to prediction rows (ops/detect_decode.h). y points at the level's first row.
struct DecodeTask {
  MapView x;
  float* y = nullptr;
  const float* anchors = nullptr;  // w, h per anchor
  int32_t anchor_count = 0;
  float stride = 0;
};

}  // namespace mtyolo::ops::blocked

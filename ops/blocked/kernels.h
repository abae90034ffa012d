// The blocked-layout kernels and their tables, one per instruction set. This header and the kernel sources
// include nothing but <cstdint>: they are compiled several times with different instruction sets, and an
// inline function of a shared header compiled for AVX-512 must not be picked by the linker for the whole
// program.
#pragma once

#include <cstdint>

namespace mtyolo::ops::blocked {

inline constexpr int kBlock = 16;     // channels per block
inline constexpr int kStemPixel = 4;  // floats per pixel of a map with at most 4 channels (the image)

enum class Epilogue : int32_t { kNone, kSilu, kLeakyRelu, kSigmoid, kRelu, kHardswish };

// A picture of one batch image in memory: block b, row i, column j, lane c is at
// data[b * block_stride + i * row_stride + j * pixel + c]; rows and columns -halo..-1 and h..h+halo-1 exist
// too.
struct MapView {
  float* data = nullptr;
  int64_t block_stride = 0, row_stride = 0;
  int32_t channels = 0, h = 0, w = 0, halo = 0, pixel = kBlock;
};

// Convolution of rows [row_begin, row_end) of one image, for one panel of output channels.
//   weight  [in blocks from block_begin][kernel_h][kernel_w][lanes of the block][panel]
//   bias    [panel]
struct ConvTask {
  MapView x, y;
  MapView residual;  // added after the activation; data = nullptr for none
  const float* weight = nullptr;
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

// Some rows of 2x2 output tiles of one image by F(2x2, 3x3) (winograd_kernel.cpp).
struct WinogradTask {
  MapView x, y;
  MapView residual;                        // data = nullptr for none
  float* v = nullptr;                      // transformed input  [16][blocks of x][tiles][16]
  float* m = nullptr;                      // products           [16][blocks of a panel][tiles][16]
  int64_t v_position = 0, m_position = 0;  // floats between positions
  int64_t tiles = 0;                       // (tile_row_end - tile_row_begin) * tile_columns
  int32_t tile_row_begin = 0, tile_row_end = 0, tile_columns = 0;
  const float* bias = nullptr;            // of the panel
  int32_t out_block = 0, out_blocks = 0;  // as in ConvTask
  Epilogue epilogue = Epilogue::kNone;
  float slope = 0;
};

struct PoolTask {
  MapView x, y;
  int32_t k = 2, stride = 2, pad = 0;
};

// Raw head map of one image to prediction rows (ops/detect_decode.h). y points at the level's first row.
struct DecodeTask {
  MapView x;
  float* y = nullptr;
  const float* anchors = nullptr;  // w, h per anchor
  int32_t anchor_count = 0;
  float stride = 0;
};

// All take one image and the rows or blocks [begin, end) of the destination, so that callers can split the
// work.
struct KernelTable {
  const char* isa;
  int32_t panel;  // output channels of one weight panel: 16 or 32
  int32_t tile;   // output pixels of one register tile
  void (*conv)(const ConvTask&);
  void (*winograd_input)(const WinogradTask&);   // x to v
  void (*winograd_output)(const WinogradTask&);  // m to the blocks of one panel of y
  void (*max_pool)(const PoolTask&, int32_t block_begin, int32_t block_end);
  void (*upsample)(const MapView& x, const MapView& y, int32_t scale, int32_t block_begin, int32_t block_end);
  void (*add)(const MapView& a, const MapView& b, const MapView& y, int32_t block_begin, int32_t block_end);
  void (*activate)(const MapView& y, Epilogue epilogue, float slope, int32_t block_begin, int32_t block_end);
  void (*decode)(const DecodeTask&, int32_t row_begin, int32_t row_end);
};

namespace baseline {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}

}  // namespace mtyolo::ops::blocked

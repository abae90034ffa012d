// What the host prepares for the kernels of a convolution, and the lists of tiles they are compiled for.
// Plain C++, used by both builds.
#pragma once

#include <span>

#include "cuda/conv.h"

namespace mtyolo {

// n / divisor for 0 <= n < 2^31 by a multiply-high: multiplier = ceil(2^(31 + l) / divisor), l =
// ceil(log2(divisor)). The error, n * (multiplier * divisor - 2^(31 + l)), stays below 2^(31 + l).
struct FastDivide {
  uint32_t multiplier = 1u << 31, shift = 31, divisor = 1;
  FastDivide() = default;
  explicit FastDivide(uint32_t by);
};

// Where results are stored, or a residual is read: pixel i at data + i * pixel_bytes.
struct ConvSlice {
  char* data = nullptr;
  int64_t pixel_bytes = 0;
  bool aligned = false;  // every pixel begins at a multiple of 16 bytes
};

// A tile of depth is 64 bytes of a row of x and of weight: four chunks of 16.
constexpr int kConvChunks = 4, kConvDepthBytes = 64;
// The workspace begins with this many counters, whatever the convolution, so that convolutions can share one;
// a convolution of more tiles is not split.
constexpr int kConvCounters = 4096;
constexpr int kConvMaxKernel = 15, kConvMaxSplits = 32;

struct ConvParams {
  const char* x = nullptr;
  const char* weight = nullptr;
  int pixels = 0, channels = 0;         // of y
  int64_t image_bytes = 0;              // of x
  int line_bytes = 0, pixel_bytes = 0;  // of x
  int tap_bytes = 0;                    // channels of x a tap
  int64_t weight_stride = 0;            // bytes
  int weight_bytes = 0;                 // of a row, up to the next multiple of 16
  int h = 0, w = 0, kernel = 1, stride = 1, pad = 0;
  uint32_t tap_inverse = 0;           // tap / kernel = tap * tap_inverse >> 16
  bool pointwise = false;             // row i of the product is pixel i of x
  FastDivide y_image, y_line, x_tap;  // by y's pixels an image, a line; by tap_bytes
  int m_tiles = 0, n_tiles = 0, depth_tiles = 0, stages = 3, splits = 1;
  KernelEpilogue epilogue{};
  KernelType out = KernelType::kF32;
  ConvSlice y, residual, second;
  bool upsample_second = false;
  float* moments = nullptr;
  uint32_t* counters = nullptr;     // of each tile the splits that have come
  float* parts = nullptr;           // [tile][split][m * n], as staged
  int group_in = 0, group_out = 0;  // channels of a group
};

// Throws Error{"check"} where conv_refuses() objects or config and workspace do not fit.
ConvParams conv_params(const ConvArgs& args);

struct ConvTile {
  int m, n;
  bool operator==(const ConvTile&) const = default;
};
// x is stored as 4 channels that do not fill 16 bytes.
bool conv_is_stem(const ConvArgs& args);
std::span<const ConvTile> conv_tiles(const ConvArgs& args);
// Of the ring of stages or of the staged results, whichever is larger.
size_t conv_shared_bytes(const ConvTile& tile, int stages);

}  // namespace mtyolo

// What a box copy of sm_90 (TMA) reads: the descriptor that the host encodes, and the words for it. Encoded
// by tensor_map() of cuda/device/tensor_map.cuh.
//   Rules: CUDA driver API, cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col.
#pragma once

#include "ops/device/types.h"

namespace mtyolo {

// Chunks of 16 bytes change places inside spans of so many bytes: of the address, bits 4.. are XORed with as
// many bits from 7 on. The pattern repeats every 8 spans, 1024 bytes at most.
enum class Swizzle : uint8_t { kNone, k32, k64, k128 };
constexpr uint32_t swizzle_span(Swizzle s) { return s == Swizzle::kNone ? 16 : 16u << int(s); }
constexpr uint32_t swizzled_address(Swizzle s, uint32_t address) {
  return address ^ (address >> 3 & (swizzle_span(s) - 16));
}

// Opaque; a kernel's parameter (MTYOLO_GRID_CONSTANT).
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

// A box of a tensor of 1..5 dimensions, the innermost first. What lies outside the tensor is zero in the box.
struct TiledMap {
  const void* data = nullptr;  // a multiple of 16
  KernelType type = KernelType::kF16;
  int rank = 2;
  int64_t dims[5] = {1, 1, 1, 1, 1};
  int64_t strides[5] = {};       // bytes, multiples of 16; [0] is the element's size and not looked at
  int box[5] = {1, 1, 1, 1, 1};  // at most 256 each; the innermost a multiple of 16 bytes
  int steps[5] = {1, 1, 1, 1,
                  1};  // 1..8: every so-manieth element, ceil(box / step) of them; [0] is not looked at
  Swizzle swizzle = Swizzle::kNone;  // but for kNone the innermost box is one span
};

// A column of pixels of an NHWC map: from a start (w, h, n) on, stepping `step`, w first, each inside
// lower .. size - 1 + upper, then on to the next row and image; pixels are read at their place plus an offset
// given with each copy, and are zero outside the map.
struct Im2colMap {
  KernelMap x;
  int lower = 0, upper = 0;  // -128..127, of w and h alike: -pad, and pad - (kernel - 1)
  int step = 1;              // 1..8
  int channels = 64;         // at most 256, a multiple of 16 bytes; one span when swizzled
  int pixels = 128;          // at most 1024
  Swizzle swizzle = Swizzle::k128;
};

// Why none can be encoded, or null.
const char* tensor_map_refuses(const TiledMap& map);
const char* tensor_map_refuses(const Im2colMap& map);

}  // namespace mtyolo

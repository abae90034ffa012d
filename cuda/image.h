// From the bytes of pictures to the network's input.
#pragma once

#include <span>

#include "cuda/dims.h"
#include "ops/device/image.h"
#include "ops/device/types.h"

namespace mtyolo {

// normalise: images [N,3,H,W] plain (u8, divided by 255, or f32 as it is) to y with 4 channels, the fourth 0;
// y is f32, f16, bf16, or s8 (round(value * out_scale)).
// letterbox: at most kMostPictures into y [N,H,W,4] likewise; `images` is on the host, their pixels are not.
#define MTYOLO_IMAGE_OPS                                                                          \
  void normalise(KernelStream stream, const void* images, KernelType type, const KernelMap& y,    \
                 float out_scale = 1);                                                            \
  void letterbox(KernelStream stream, std::span<const LetterboxImage> images, const KernelMap& y, \
                 float out_scale = 1);
namespace simt {
MTYOLO_IMAGE_OPS
}
namespace cuda {
MTYOLO_IMAGE_OPS
}
#undef MTYOLO_IMAGE_OPS

}  // namespace mtyolo

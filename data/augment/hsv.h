// Colour jitter through 8-bit hue, saturation and value (data.md 7.5).
#pragma once

#include "core/random.h"
#include "data/augment/params.h"
#include "data/image.h"

namespace mtyolo::data {

// Factors of hue (modulo 180), saturation and value.
struct HsvDraws {
  double hue = 1, saturation = 1, value = 1;
};
HsvDraws draw_hsv(const AugmentParams& params, RandomStream& random);

// In place. Pixels are those of OpenCV with fused multiply-adds; the end of a row that does not fill one of
// its vectors, which it rounds instead of truncating, is truncated here too (one level).
void jitter_hsv(Image& image, const HsvDraws& draws);

}  // namespace mtyolo::data

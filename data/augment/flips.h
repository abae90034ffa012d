// Mirroring, done while pixels go to their planes (data.md section 6, steps 7 and 8).
#pragma once

#include "core/random.h"
#include "data/augment/params.h"
#include "data/batch.h"

namespace mtyolo::data {

struct FlipDraws {
  bool up_down = false, left_right = false;
};
FlipDraws draw_flips(const AugmentParams& params, RandomStream& random);

// R,G,B pixels as three planes of height x width bytes at `planes`, mirrored.
void write_planes(const Image& image, const FlipDraws& draws, uint8_t* planes);
void flip_target(BatchTarget& target, const FlipDraws& draws);

}  // namespace mtyolo::data

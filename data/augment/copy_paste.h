// Objects with polygons pasted mirrored into the same picture (data.md 7.6).
#pragma once

#include <vector>

#include "core/random.h"
#include "data/augment/canvas.h"

namespace mtyolo::data {

// Which labels are mirrored: round(share * polygons) distinct ones of those that have a polygon.
std::vector<size_t> draw_copy_paste(const std::vector<PixelLabel>& labels, double share,
                                    RandomStream& random);

// An object whose mirror image would cover 0.30 or more of a label stays where it is. Colour values of 0 are
// not copied, as in the reference.
void copy_paste(Canvas& canvas, const std::vector<size_t>& chosen);

}  // namespace mtyolo::data

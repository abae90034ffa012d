// Two pictures blended (data.md section 6).
#pragma once

#include "core/random.h"
#include "data/augment/canvas.h"

namespace mtyolo::data {

double draw_mixup_ratio(RandomStream& random);  // Beta(8, 8)

// Every value of `into` becomes trunc(value * ratio + other * (1 - ratio)); the labels of both count.
void mixup(Canvas& into, const Canvas& other, double ratio);

}  // namespace mtyolo::data

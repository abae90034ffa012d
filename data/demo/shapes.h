// The objects of the drawn landscapes.
#pragma once

#include "core/random.h"
#include "data/demo/painter.h"

namespace mtyolo::data::demo {

// Draws an object of a class centred at `at`, half its width `reach` pixels, and returns where it was
// painted. Colours and proportions vary with `random`.
PaintedBox draw_object(Image& image, int cls, Vec2 at, double reach, RandomStream& random);

}  // namespace mtyolo::data::demo

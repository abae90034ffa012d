// What a letterbox (data/image.h) would do, without doing it: for devices, which do it themselves.
#pragma once

#include "data/image.h"

namespace mtyolo::data {

struct LetterboxPlan : Letterbox {
  int scaled_width = 0, scaled_height = 0;  // of the image in the padded result
};

LetterboxPlan plan_letterbox(const ImageSize& image, const LetterboxParams& params);

}  // namespace mtyolo::data

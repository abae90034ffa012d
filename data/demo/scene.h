// Drawn landscapes with labelled objects: the data of `mtyolo demo`, which needs no file and no network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data::demo {

// Class names by id, and how many of them, from the first, are head `sky`; the rest are head `ground`.
const std::vector<std::string>& scene_names();
inline constexpr int kSkyClasses = 4;

struct Scene {
  Image image;
  std::vector<Label> labels;
};

// Scene number `index` of a seed, size x size pixels: time of day, mountains, meadow, and 3 to 9 objects that
// hardly cover each other. A function of its arguments alone.
Scene draw_scene(uint64_t seed, int64_t index, int size);

}  // namespace mtyolo::data::demo

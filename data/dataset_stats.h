// What a split consists of: for `data stats`, and to weigh classes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

// Boxes by area in pixels of the original image, limits of COCO: below 32^2 small, below 96^2 medium.
struct SizeCounts {
  int64_t small = 0, medium = 0, large = 0;
};

struct ClassStats {
  int64_t images = 0, boxes = 0;
  SizeCounts sizes;
};

// Smallest, 5 %, 50 %, 95 % and largest of a series: the value at rank floor(q * (n - 1)); 0 if it is empty.
using Quantiles = std::array<double, 5>;
Quantiles quantiles_of(std::vector<double> values);

struct DatasetStats {
  int64_t images = 0, backgrounds = 0, boxes = 0, polygons = 0, difficult = 0, crowds = 0;
  SizeCounts sizes;
  std::vector<ClassStats> classes;                     // by class id
  Quantiles width, height, boxes_per_image, aspect{};  // aspect: box width / box height, in pixels
};

DatasetStats stats_of(const Dataset& set, size_t classes);

}  // namespace mtyolo::data

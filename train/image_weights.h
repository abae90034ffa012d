// Sampling of images by how hard their classes are (train.md section 7).
#pragma once

#include <cstdint>
#include <vector>

namespace mtyolo::train {

// nc * (1/count_c) / sum(1/count), counts of 0 taken as 1.
std::vector<double> class_weights(const std::vector<int64_t>& label_counts);

// Weight of an image: sum over its labels of class_weight_c * (1 - AP_c)^2 / nc. `image_classes` lists the
// class of every label of every image; ap is per class, 0..1.
std::vector<double> image_weights(const std::vector<std::vector<int>>& image_classes,
                                  const std::vector<double>& class_weight, const std::vector<double>& ap);

// weights.size() draws with replacement, reproducible from (seed, epoch). If all weights are 0 (every class
// is perfect, or there are no labels), all images are equally likely.
std::vector<int64_t> draw_images(const std::vector<double>& weights, uint64_t seed, int epoch);

}  // namespace mtyolo::train

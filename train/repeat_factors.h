// Repeat-factor sampling: images of rare classes come more often (Gupta, Dollar, Girshick, "LVIS: a dataset
// for large vocabulary instance segmentation", CVPR 2019).
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::train {

// Per image max over its classes of r(c) = max(1, sqrt(threshold / f(c))); 1 without classes. f(c): share of
// the images labelled for the class's head that have the class. `heads` in the order of Sample::labelled;
// empty = one.
std::vector<double> repeat_factors(const data::Dataset& set, const std::vector<data::HeadCfg>& heads,
                                   double threshold);

// An epoch of factors.size() images in random order, reproducible from (seed, epoch): image i comes
// n * factors[i] / sum(factors) times, rounded up or down (systematic sampling), so in the mean exactly that.
std::vector<int64_t> draw_repeated(const std::vector<double>& factors, uint64_t seed, int64_t epoch);

}  // namespace mtyolo::train

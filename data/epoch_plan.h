// Which images an epoch takes, in which order and batches.
#pragma once

#include <map>
#include <vector>

#include "data/loader.h"

namespace mtyolo::data {

struct BatchPlan {
  int64_t first = 0, count = 0;  // positions in the order
  int width = 0, height = 0;     // of the network input
};

struct EpochPlan {
  std::vector<int64_t> order;                         // indices of the data set
  std::map<uint64_t, std::vector<int64_t>> by_label;  // positions in the order, by Sample::labelled
  std::vector<BatchPlan> batches;
};

// Number of batches for `images` images; the same for every epoch.
int64_t count_batches(int64_t images, const LoaderParams& params);

// `order` as in Loader::begin_epoch. Shapes of rect batches: data.md section 5; images of one shape keep the
// order of the data set (known-issues D20).
EpochPlan plan_epoch(const Dataset& dataset, const LoaderParams& params, int64_t epoch,
                     std::vector<int64_t> order);

// The numbers 0..count-1 in an order drawn from (seed, epoch).
std::vector<int64_t> permutation(int64_t count, uint64_t seed, int64_t epoch);

}  // namespace mtyolo::data

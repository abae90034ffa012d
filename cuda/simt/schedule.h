// Which thread of a block goes on next.
#pragma once

#include <cstdint>
#include <vector>

#include "core/random.h"
#include "cuda/simt/options.h"

namespace mtyolo::emulator {

class Schedule {
 public:
  // Draws are a function of (seed, launch, block), so a failure repeats whatever else runs.
  Schedule(Order order, uint32_t threads, const RandomStream& random);

  // A thread whose bit is set in `ready` (32 threads a word), or -1; `current` had the last turn.
  int next(const std::vector<uint32_t>& ready, int current);

 private:
  int next_upwards(const std::vector<uint32_t>& ready, int after) const;
  int next_downwards(const std::vector<uint32_t>& ready, int before) const;
  int next_shuffled(const std::vector<uint32_t>& ready);
  int next_greedy(const std::vector<uint32_t>& ready, int current);

  Order order_;
  int threads_;
  RandomStream random_;
  std::vector<int> pass_;  // kShuffle: the order of the present pass
  size_t cursor_ = 0;
};

// 0..count-1 in random order.
std::vector<int> random_order(int count, RandomStream& random);

}  // namespace mtyolo::emulator

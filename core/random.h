// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). There is no generator state: a draw is a function of (seed, stream, counter), so neither threads,
// workers nor resume positions can change it (reliability.md 9.6).
#pragma once

#include <array>
#include <cstdint>

namespace mtyolo {

// The four 32-bit words of one Philox4x32-10 block.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A sequence of draws for one (seed, stream, position), for example (seed, "augment", epoch << 32 | sample).
class RandomStream {
 public:
  RandomStream(uint64_t seed, uint32_t stream, uint64_t position);

  uint32_t bits();   // uniform 32 bits
  double uniform();  // [0, 1), 53 bits
  double uniform(double low, double high);
  double normal();           // mean 0, standard deviation 1 (Box-Muller)
  int64_t below(int64_t n);  // uniform in 0..n-1, n >= 1

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace mtyolo

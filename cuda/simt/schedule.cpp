#include "cuda/simt/schedule.h"

#include <bit>
#include <numeric>
#include <utility>

namespace mtyolo::emulator {

std::vector<int> random_order(int count, RandomStream& random) {
  std::vector<int> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int i = count - 1; i > 0; --i) std::swap(order[size_t(i)], order[size_t(random.below(i + 1))]);
  return order;
}

Schedule::Schedule(Order order, uint32_t threads, const RandomStream& random)
    : order_(order), threads_(int(threads)), random_(random) {
  if (order_ == Order::kShuffle) pass_ = random_order(threads_, random_);
}

int Schedule::next(const std::vector<uint32_t>& ready, int current) {
  int found = -1;
  switch (order_) {
    case Order::kReverse:
      found = next_downwards(ready, current);
      return found >= 0 ? found : next_downwards(ready, threads_);
    case Order::kShuffle:
      return next_shuffled(ready);
    case Order::kWarpGreedy:
      return next_greedy(ready, current);
    case Order::kInOrder:
    case Order::kBlockShuffle:
      break;
  }
  found = next_upwards(ready, current);
  return found >= 0 ? found : next_upwards(ready, -1);
}

int Schedule::next_upwards(const std::vector<uint32_t>& ready, int after) const {
  const int first = after + 1;
  for (size_t word = size_t(first) / 32; word < ready.size(); ++word) {
    uint32_t bits = ready[word];
    if (int(word) == first / 32) bits &= ~0u << (first % 32);
    if (bits != 0) return int(word) * 32 + std::countr_zero(bits);
  }
  return -1;
}

int Schedule::next_downwards(const std::vector<uint32_t>& ready, int before) const {
  if (before <= 0) return -1;
  const int last = before - 1;
  for (int word = last / 32; word >= 0; --word) {
    uint32_t bits = ready[size_t(word)];
    if (word == last / 32) bits &= ~0u >> (31 - last % 32);
    if (bits != 0) return word * 32 + 31 - std::countl_zero(bits);
  }
  return -1;
}

int Schedule::next_shuffled(const std::vector<uint32_t>& ready) {
  for (int pass = 0; pass < 2; ++pass) {
    for (; cursor_ < pass_.size(); ++cursor_) {
      const int thread = pass_[cursor_];
      if ((ready[size_t(thread) / 32] >> (thread % 32) & 1) == 0) continue;
      ++cursor_;
      return thread;
    }
    pass_ = random_order(threads_, random_);
    cursor_ = 0;
  }
  for (const int thread : pass_)  // ready again since this pass began
    if (ready[size_t(thread) / 32] >> (thread % 32) & 1) return thread;
  return -1;
}

int Schedule::next_greedy(const std::vector<uint32_t>& ready, int current) {
  if (current >= 0) {
    const uint32_t bits = ready[size_t(current) / 32];
    const uint32_t later = bits & ~(~0u >> (31 - current % 32));
    if (bits != 0) return current / 32 * 32 + std::countr_zero(later != 0 ? later : bits);
  }
  int count = 0, found = -1;
  for (size_t word = 0; word < ready.size(); ++word)  // each ready warp with the same chance
    if (ready[word] != 0 && random_.below(++count) == 0) found = int(word);
  return found < 0 ? -1 : found * 32 + std::countr_zero(ready[size_t(found)]);
}

}  // namespace mtyolo::emulator

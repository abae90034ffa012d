#include "models/plan/memory.h"

#include <algorithm>
#include <numeric>

namespace mtyolo::models {
namespace {

constexpr int64_t kAlign = 16;

// The smallest gap that holds `floats` between the buffers of `busy` (offset, end), or the end of the last
// one.
int64_t best_fit(std::vector<std::pair<int64_t, int64_t>> busy, int64_t floats) {
  std::sort(busy.begin(), busy.end());
  int64_t end = 0, best = -1, best_gap = INT64_MAX;
  for (const auto& [from, to] : busy) {
    const int64_t gap = from - end;
    if (gap >= floats && gap < best_gap) {
      best = end;
      best_gap = gap;
    }
    end = std::max(end, to);
  }
  return best >= 0 ? best : end;
}

}  // namespace

int64_t assign_offsets(std::vector<BufferLife>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return buffers[a].floats != buffers[b].floats ? buffers[a].floats > buffers[b].floats : a < b;
  });
  int64_t arena = 0;
  std::vector<size_t> placed;
  for (size_t i : order) {
    BufferLife& b = buffers[i];
    const int64_t floats = (b.floats + kAlign - 1) / kAlign * kAlign;
    std::vector<std::pair<int64_t, int64_t>> busy;
    for (size_t j : placed) {
      const BufferLife& other = buffers[j];
      if (other.first_step <= b.last_step && b.first_step <= other.last_step)
        busy.emplace_back(other.offset, other.offset + (other.floats + kAlign - 1) / kAlign * kAlign);
    }
    b.offset = best_fit(std::move(busy), floats);
    arena = std::max(arena, b.offset + floats);
    placed.push_back(i);
  }
  return arena;
}

}  // namespace mtyolo::models

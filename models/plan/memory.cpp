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

int64_t rounded(int64_t floats) { return (floats + kAlign - 1) / kAlign * kAlign; }

// Each buffer, in the order given, into the smallest gap. Returns the floats of the arena.
int64_t place(std::vector<BufferLife>& buffers, const std::vector<size_t>& order) {
  int64_t arena = 0;
  std::vector<size_t> placed;
  for (size_t i : order) {
    BufferLife& b = buffers[i];
    std::vector<std::pair<int64_t, int64_t>> busy;
    for (size_t j : placed) {
      const BufferLife& other = buffers[j];
      if (other.first_step <= b.last_step && b.first_step <= other.last_step)
        busy.emplace_back(other.offset, other.offset + rounded(other.floats));
    }
    b.offset = best_fit(std::move(busy), rounded(b.floats));
    arena = std::max(arena, b.offset + rounded(b.floats));
    placed.push_back(i);
  }
  return arena;
}

// What no placement can go below: the floats of the buffers alive at a step.
int64_t most_alive(const std::vector<BufferLife>& buffers) {
  int64_t most = 0;
  for (const BufferLife& first : buffers) {
    int64_t alive = 0;
    for (const BufferLife& b : buffers)
      if (b.first_step <= first.first_step && first.first_step <= b.last_step) alive += rounded(b.floats);
    most = std::max(most, alive);
  }
  return most;
}

}  // namespace

int64_t assign_offsets(std::vector<BufferLife>& buffers) {
  constexpr int kAttempts = 32;
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return buffers[a].floats != buffers[b].floats ? buffers[a].floats > buffers[b].floats : a < b;
  });
  const int64_t least = most_alive(buffers);
  std::vector<BufferLife> attempt = buffers;
  int64_t best = INT64_MAX;
  for (int i = 0; i < kAttempts && best > least; ++i) {
    const int64_t arena = place(attempt, order);
    if (arena < best) best = arena, buffers = attempt;
    // Whatever lies on top had no room left: it comes first now.
    const auto top = std::find_if(order.begin(), order.end(), [&](size_t b) {
      return attempt[b].offset + rounded(attempt[b].floats) == arena;
    });
    if (top != order.end()) std::rotate(order.begin(), top, top + 1);
  }
  return buffers.empty() ? 0 : best;
}

}  // namespace mtyolo::models

#include "ops/blocked/round_weight.h"

#include <bit>
#include <cstdint>
#include <vector>

namespace mtyolo::ops::blocked {
namespace {

// A weight's error e = w - rounded; to the next value, which changes e by -step, (sum e)^2 + sum e^2 falls by
//   2 (step * sum e - cost),  cost = step * (step - e)
struct Scratch {
  explicit Scratch(size_t count) : error(count), step(count), cost(count) {}
  std::vector<float> error, step, cost;
};

void round_to_nearest(float* w, size_t count, Scratch& s) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(w[i]);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    const uint32_t nearest = finite ? (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u : bits;
    const uint32_t next =
        bits > nearest ? nearest + 0x10000u : nearest - 0x10000u;  // further from 0, or nearer
    const float rounded = std::bit_cast<float>(nearest);
    s.error[i] = w[i] - rounded;
    s.step[i] = s.error[i] == 0 ? 0 : std::bit_cast<float>(next) - rounded;
    s.cost[i] = s.step[i] * (s.step[i] - s.error[i]);
    w[i] = rounded;
  }
}

// One sum, over `count` weights from `begin` on.
void keep_sum(float* w, size_t begin, size_t count, Scratch& s) {
  double sum = 0, squares = 0;
  for (size_t i = begin; i < begin + count; ++i) {
    sum += s.error[i];
    squares += double(s.error[i]) * s.error[i];
  }
  for (;;) {
    // Less than so much is not worth a search.
    float most = float((sum * sum + squares) / 64);
    size_t best = begin + count;
    for (size_t i = begin; i < begin + count; ++i)
      if (const float less = s.step[i] * float(sum) - s.cost[i]; less > most) most = less, best = i;
    if (best == begin + count) return;
    w[best] += s.step[best];
    sum -= s.step[best];
    squares += 2.0 * s.cost[best] - double(s.step[best]) * s.step[best];
    s.step[best] = s.cost[best] = 0;
  }
}

}  // namespace

void round_keeping_sums(Context& ctx, const Tensor& weight) {
  const size_t channels = size_t(weight.size(1)), taps = size_t(weight.size(2) * weight.size(3));
  const size_t filter = channels * taps, run = taps > 1 ? taps : channels;
  ctx.pool().parallel_for(weight.size(0), [&](int64_t o) {
    Scratch s(filter);
    float* w = weight.data<float>() + size_t(o) * filter;
    round_to_nearest(w, filter, s);
    for (size_t i = 0; i < filter; i += run) keep_sum(w, i, run, s);
  });
}

}  // namespace mtyolo::ops::blocked

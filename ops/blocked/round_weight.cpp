#include "ops/blocked/round_weight.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace mtyolo::ops::blocked {
namespace {

// Of the weights of a filter: e = w - rounded, and what lies between that value and the next on w's other
// side.
struct Scratch {
  explicit Scratch(size_t count) : error(count), step(count) {}
  std::vector<float> error, step;
};

void round_to_nearest(float* w, size_t count, Scratch& s) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(w[i]);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    const uint32_t nearest = finite ? (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u : bits;
    const uint32_t next = nearest + 0x10000u - 0x20000u * uint32_t(bits < nearest);
    const float rounded = std::bit_cast<float>(nearest);
    s.error[i] = w[i] - rounded;
    s.step[i] = std::bit_cast<float>(next) - rounded;
    w[i] = rounded;
  }
}

// One sum, over `count` weights from `begin` on. A step takes 2 step (sum e - step + e) from (sum e)^2 + sum
// e^2.
void keep_sum(float* w, size_t begin, size_t count, Scratch& s) {
  double exact = 0;
  for (size_t i = begin; i < begin + count; ++i) exact += s.error[i];
  float sum = float(exact);
  for (const float middle : {0.4f, 0.25f, 0.0f})
    for (size_t i = begin; i < begin + count; ++i) {
      const float step = s.step[i], error = s.error[i];
      const float near = std::abs(error) - middle * std::abs(step), falls = step * (sum - step + error);
      if ((near < falls ? near : falls) > 0) {  // one branch that is hardly ever taken
        w[i] += step;
        sum -= step;
        s.step[i] = 0;
      }
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

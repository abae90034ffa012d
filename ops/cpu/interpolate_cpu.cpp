#include <algorithm>

#include "ops/cpu/kernels.h"
#include "ops/cpu/view4.h"

namespace mtyolo::ops {
namespace {

// The two source positions of one output position and the share of the second.
struct Tap {
  int64_t first, second;
  float share;
};

std::vector<Tap> taps(int64_t in, int64_t out) {
  std::vector<Tap> list;
  const float scale = float(in) / float(out);
  for (int64_t d = 0; d < out; ++d) {
    const float source = std::max((float(d) + 0.5f) * scale - 0.5f, 0.0f);
    const int64_t first = std::min(int64_t(source), in - 1);
    list.push_back({first, std::min(first + 1, in - 1), std::min(source - float(first), 1.0f)});
  }
  return list;
}

}  // namespace

void interpolate_bilinear_cpu(Context& ctx, const Tensor& x, Tensor& y) {
  const std::vector<Tap> rows = taps(x.size(2), y.size(2)), columns = taps(x.size(3), y.size(3));
  const View4<const float> from(x);
  const View4<float> to(y);
  ctx.pool().parallel_for(y.size(0) * y.size(1), [&](int64_t plane) {
    const int64_t n = plane / y.size(1), c = plane % y.size(1);
    for (int64_t i = 0; i < y.size(2); ++i) {
      const Tap r = rows[size_t(i)];
      for (int64_t j = 0; j < y.size(3); ++j) {
        const Tap s = columns[size_t(j)];
        const float above =
            (1 - s.share) * from(n, c, r.first, s.first) + s.share * from(n, c, r.first, s.second);
        const float below =
            (1 - s.share) * from(n, c, r.second, s.first) + s.share * from(n, c, r.second, s.second);
        to(n, c, i, j) = (1 - r.share) * above + r.share * below;
      }
    }
  });
}

}  // namespace mtyolo::ops

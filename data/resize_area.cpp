// Shrinking by area averages (data.md 3.2).
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "data/image.h"

namespace mtyolo::data {
namespace {

// The share of source cell `index` in one output cell.
struct Share {
  int index = 0;
  float weight = 0;
};

// Per output cell the shares, in source order.
std::vector<std::vector<Share>> make_shares(int source, int target, double scale) {
  constexpr double kNothing = 1e-3;  // OpenCV drops slivers below this
  std::vector<std::vector<Share>> shares(static_cast<size_t>(target));
  for (int d = 0; d < target; ++d) {
    auto& out = shares[size_t(d)];
    const double from = d * scale, to = from + scale, cell = std::min(scale, source - from);
    const int last = std::min(int(std::floor(to)), source - 1);
    const int first = std::min(int(std::ceil(from)), last);
    if (first - from > kNothing) out.push_back({first - 1, float((first - from) / cell)});
    for (int i = first; i < last; ++i) out.push_back({i, float(1.0 / cell)});
    if (to - last > kNothing) out.push_back({last, float(std::min(std::min(to - last, 1.0), cell) / cell)});
  }
  return shares;
}

uint8_t to_byte(float value) { return uint8_t(std::clamp(std::lrint(value), 0L, 255L)); }

// Whole factors: a sum over blocks.
Image average_blocks(const Image& image, int width, int height, int block_w, int block_h) {
  Image out(width, height);
  const float share = float(1.0 / (double(block_w) * block_h));
  const bool two_by_two = block_w == 2 && block_h == 2;
  for (int y = 0; y < height; ++y)
    for (int i = 0; i < width * 3; ++i) {
      const int x = i / 3, c = i % 3;
      int sum = 0;
      for (int v = 0; v < block_h; ++v) {
        const uint8_t* from = image.row(y * block_h + v) + x * block_w * 3 + c;
        for (int u = 0; u < block_w; ++u) sum += from[u * 3];
      }
      out.row(y)[i] = two_by_two ? uint8_t((sum + 2) >> 2) : to_byte(float(sum) * share);
    }
  return out;
}

bool is_whole(double scale) { return std::abs(scale - std::nearbyint(scale)) < DBL_EPSILON; }

// One source row summed along x.
void sum_row(const uint8_t* row, const std::vector<std::vector<Share>>& columns, float* out) {
  for (const auto& cell : columns) {
    float sum[3] = {0, 0, 0};
    for (const Share& s : cell)
      for (int c = 0; c < 3; ++c) sum[c] += float(row[s.index * 3 + c]) * s.weight;
    out = std::copy_n(sum, 3, out);
  }
}

}  // namespace

Image resize_area(const Image& image, int width, int height) {
  MTYOLO_CHECK(width > 0 && height > 0 && width <= image.width && height <= image.height,
               "resize_area: {} x {} to {} x {}, sides must be at least 1 and not grow", image.width,
               image.height, width, height);
  if (width == image.width && height == image.height) return image;
  const double scale_x = 1.0 / (double(width) / image.width), scale_y = 1.0 / (double(height) / image.height);
  if (is_whole(scale_x) && is_whole(scale_y))
    return average_blocks(image, width, height, int(std::lrint(scale_x)), int(std::lrint(scale_y)));
  const auto columns = make_shares(image.width, width, scale_x),
             rows = make_shares(image.height, height, scale_y);
  Image out(width, height);
  const size_t values = size_t(width) * 3;
  std::vector<float> row_sum(values), sum(values);
  for (int y = 0; y < height; ++y) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (const Share& s : rows[size_t(y)]) {
      sum_row(image.row(s.index), columns, row_sum.data());
      for (size_t i = 0; i < values; ++i) sum[i] += s.weight * row_sum[i];
    }
    std::transform(sum.begin(), sum.end(), out.row(y), to_byte);
  }
  return out;
}

}  // namespace mtyolo::data

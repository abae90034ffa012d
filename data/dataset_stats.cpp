#include "data/dataset_stats.h"

#include <algorithm>

namespace mtyolo::data {
namespace {

void count_size(double area, SizeCounts& sizes) {
  constexpr double kSmall = 32.0 * 32.0, kMedium = 96.0 * 96.0;
  ++(area < kSmall ? sizes.small : area < kMedium ? sizes.medium : sizes.large);
}

}  // namespace

Quantiles quantiles_of(std::vector<double> values) {
  Quantiles out{};
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  constexpr Quantiles kShares{0, 0.05, 0.5, 0.95, 1};
  for (size_t i = 0; i < out.size(); ++i) out[i] = values[size_t(kShares[i] * double(values.size() - 1))];
  return out;
}

DatasetStats stats_of(const Dataset& set, size_t classes) {
  DatasetStats out;
  out.classes.resize(classes);
  out.images = set.size();
  std::vector<double> widths, heights, counts, aspects;
  std::vector<int64_t> last_image(classes, -1);
  for (int64_t i = 0; i < set.size(); ++i) {
    const Sample& s = set.sample(i);
    widths.push_back(s.width);
    heights.push_back(s.height);
    counts.push_back(double(s.labels.size()));
    out.backgrounds += s.background ? 1 : 0;
    out.crowds += int64_t(s.crowds.size());
    for (const Label& l : s.labels) {
      const double w = double(l.w) * s.width, h = double(l.h) * s.height;
      ClassStats& c = out.classes.at(size_t(l.cls));
      ++out.boxes;
      ++c.boxes;
      c.images += last_image[size_t(l.cls)] == i ? 0 : 1;
      last_image[size_t(l.cls)] = i;
      count_size(w * h, out.sizes);
      count_size(w * h, c.sizes);
      aspects.push_back(w / h);
      out.polygons += l.polygon.empty() ? 0 : 1;
      out.difficult += l.difficult ? 1 : 0;
    }
  }
  out.width = quantiles_of(std::move(widths));
  out.height = quantiles_of(std::move(heights));
  out.boxes_per_image = quantiles_of(std::move(counts));
  out.aspect = quantiles_of(std::move(aspects));
  return out;
}

}  // namespace mtyolo::data

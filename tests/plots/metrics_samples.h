// Results of a validation that never took place, of any number of classes.
#pragma once

#include <cmath>

#include "data/image.h"
#include "train/metrics.h"
#include "train/plots/pictures.h"

namespace mtyolo::test {

inline data::Rgb pixel(const data::Image& image, double x, double y) {
  const uint8_t* p = image.row(int(y)) + int(x) * 3;
  return {p[0], p[1], p[2]};
}

// Pixels of exactly this colour.
inline int count_colour(const data::Image& image, data::Rgb colour) {
  int n = 0;
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3)
    n += data::Rgb{image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]} == colour ? 1 : 0;
  return n;
}

// Precision 1 - x * x, recall 1 - x, and so on; the last class has curves that are not numbers if `broken`.
inline train::Metrics sample_metrics(int nc, bool broken = false) {
  constexpr int kPoints = 1000;
  train::Metrics m;
  m.images = 12, m.confidence = 0.25, m.map50 = 0.5, m.map50_95 = 0.3, m.precision = 0.8, m.recall = 0.75;
  for (int c = 0; c < nc; ++c) {
    train::ClassMetrics k;
    k.cls = c, k.images = 3, k.labels = 10 + c, k.precision = 0.9, k.recall = 0.6, k.f1 = 0.72;
    k.ap.fill(broken && c == nc - 1 ? std::nan("") : 0.5);
    std::vector<double> falling(kPoints), square(kPoints);
    for (int i = 0; i < kPoints; ++i) {
      const double x = i / double(kPoints - 1);
      falling[size_t(i)] = broken && c == nc - 1 ? std::nan("") : 1 - x;
      square[size_t(i)] = 1 - x * x;
    }
    m.curves.precision.push_back(square), m.curves.pr.push_back(falling);
    m.curves.recall.push_back(falling), m.curves.f1.push_back(falling);
    m.labels += k.labels;
    m.classes.push_back(k);
  }
  return m;
}

inline std::vector<std::string> sample_names(int nc) {
  std::vector<std::string> names;
  for (int c = 0; c < nc; ++c) names.push_back("thing " + std::to_string(c));
  return names;
}

}  // namespace mtyolo::test

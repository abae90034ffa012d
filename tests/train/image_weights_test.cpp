#include "train/image_weights.h"

#include <catch2/catch.hpp>
#include <numeric>

using namespace mtyolo::train;

TEST_CASE("train: rare classes weigh more, absent ones as one label, and the mean is 1") {
  const std::vector<double> w = class_weights({10, 5, 0});
  const double sum = 0.1 + 0.2 + 1;
  CHECK(w[0] == Approx(3 * 0.1 / sum));
  CHECK(w[1] == Approx(3 * 0.2 / sum));
  CHECK(w[2] == Approx(3 * 1 / sum));
}

TEST_CASE("train: an image weighs what its labels' classes weigh, less where they are found already") {
  const std::vector<double> w = image_weights({{0, 0, 1}, {1}, {}}, {2.0, 0.5}, {0.5, 0.0});
  CHECK(w == std::vector<double>{2 * 2.0 * 0.25 / 2 + 0.25, 0.25, 0});
}

TEST_CASE("train: images are drawn in proportion to their weights, the same for the same seed and epoch") {
  std::vector<double> weights(4000, 1.0);
  weights[7] = 4000;
  weights[8] = 0;
  const std::vector<int64_t> drawn = draw_images(weights, 3, 11);
  CHECK(drawn == draw_images(weights, 3, 11));
  CHECK(drawn != draw_images(weights, 3, 12));
  CHECK(std::count(drawn.begin(), drawn.end(), 7) == Approx(2000).margin(150));
  CHECK(std::count(drawn.begin(), drawn.end(), 8) == 0);
  const std::vector<int64_t> even = draw_images(std::vector<double>(100, 0.0), 3, 0);
  CHECK(std::accumulate(even.begin(), even.end(), 0.0) / 100 == Approx(49.5).margin(10));
}

#include "train/repeat_factors.h"

#include <catch2/catch.hpp>

#include "tests/data/memory_dataset.h"

using namespace mtyolo;
using namespace mtyolo::train;

namespace {

// An image for each list of classes.
test::MemoryDataset images_of(const std::vector<std::vector<int>>& classes) {
  test::MemoryDataset set;
  for (const auto& of_image : classes) {
    std::vector<data::Label> labels;
    for (const int c : of_image) labels.push_back({c, 0.5f, 0.5f, 0.1f, 0.1f, {}, false});
    set.add(data::Image(10, 10), labels);
  }
  return set;
}

}  // namespace

TEST_CASE("train: an image's repeat factor is the square root of threshold over share, of its rarest class") {
  const auto set = images_of({{0, 0}, {0, 1}, {0}, {}});
  const std::vector<double> r = repeat_factors(set, {}, 0.5);
  CHECK(r[0] == 1);  // class 0: 3 of 4
  CHECK(r[1] == Approx(std::sqrt(0.5 / 0.25)));
  CHECK(r[2] == 1);
  CHECK(r[3] == 1);
}

TEST_CASE("train: a class's share counts the images labelled for its head alone") {
  auto set = images_of({{0}, {0}, {0}, {0}, {0}, {0}, {1}, {1}});
  const std::vector<data::HeadCfg> heads{{"a", {0}, 1}, {"b", {1}, 1}};
  for (int i = 0; i < 8; ++i) set.change(i).labelled = i < 6 ? 1 : 2;
  CHECK(repeat_factors(set, heads, 0.9) == std::vector<double>(8, 1.0));  // all images of each head have it
  for (int i = 0; i < 8; ++i) set.change(i).labelled = ~0ull;
  CHECK(repeat_factors(set, heads, 0.9)[7] == Approx(std::sqrt(0.9 / 0.25)));
}

TEST_CASE("train: images come as often as their factors say, rounded, in an epoch of equal length") {
  std::vector<double> factors(1000, 1.0);
  factors[7] = 3.5;
  factors[8] = 1.5;
  double sum = 0;
  for (const double f : factors) sum += f;
  double of_seven = 0, of_eight = 0;
  constexpr int kEpochs = 200;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> order = draw_repeated(factors, 3, epoch);
    REQUIRE(order.size() == 1000);
    const auto seven = std::count(order.begin(), order.end(), 7);
    CHECK((seven == 3 || seven == 4));
    of_seven += double(seven) / kEpochs;
    of_eight += double(std::count(order.begin(), order.end(), 8)) / kEpochs;
  }
  CHECK(of_seven == Approx(3.5 * 1000 / sum).margin(0.12));
  CHECK(of_eight == Approx(1.5 * 1000 / sum).margin(0.12));
  CHECK(draw_repeated(factors, 3, 1) == draw_repeated(factors, 3, 1));
  CHECK(draw_repeated(factors, 3, 1) != draw_repeated(factors, 3, 2));
  std::vector<int64_t> order = draw_repeated(std::vector<double>(50, 2.0), 3, 1);
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 50; ++i) CHECK(order[size_t(i)] == i);  // equal factors: each image once
}

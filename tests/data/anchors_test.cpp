#include "data/anchors.h"

#include <catch2/catch.hpp>

#include "core/random.h"
#include "tests/data/memory_dataset.h"

using namespace mtyolo;
using namespace mtyolo::data;
using namespace mtyolo::test;

namespace {

// Labels around three sizes, as many as asked for of each.
std::vector<Size2> three_groups(int each) {
  std::vector<Size2> sizes;
  RandomStream random(5, 0, 0);
  for (const Size2& centre : {Size2{10, 14}, Size2{60, 40}, Size2{200, 210}})
    for (int i = 0; i < each; ++i)
      sizes.push_back({centre[0] * random.uniform(0.95, 1.05), centre[1] * random.uniform(0.95, 1.05)});
  return sizes;
}

MemoryDataset dataset_of(const std::vector<Size2>& sizes) {  // pictures of 320 x 160
  MemoryDataset set;
  for (const Size2& s : sizes)
    set.add(Image(320, 160), {{0, 0.5f, 0.5f, float(s[0] / 320), float(s[1] / 160), {}, false}});
  return set;
}

}  // namespace

TEST_CASE("anchors: sizes are pixels of pictures scaled by their longer side") {
  const MemoryDataset set = dataset_of({{32, 16}});
  AnchorParams params;
  params.img_size = 640;
  const auto sizes = label_sizes(set, params, false);
  REQUIRE(sizes.size() == 1);
  CHECK(sizes[0][0] == Approx(64));
  CHECK(sizes[0][1] == Approx(32));
  const auto varied = label_sizes(set, params, true);
  CHECK(varied[0][0] / varied[0][1] == Approx(2));
  CHECK((varied[0][0] >= 0.9 * 64 && varied[0][0] <= 1.1 * 64));
  CHECK(label_sizes(set, params, true) == varied);
}

TEST_CASE("anchors: recall and fitness by hand") {
  const std::vector<Size2> sizes{{10, 10}, {30, 10}, {100, 10}}, anchors{{10, 10}, {20, 20}};
  const AnchorMetrics metrics = measure_anchors(sizes, anchors, 4);
  CHECK(metrics.recall == Approx(2.0 / 3));     // 100 x 10 fits neither
  CHECK(metrics.per_label == Approx(4.0 / 3));  // the first two fit both
  // 30 x 10 and 100 x 10 both share 20 x 10 with 20 x 20.
  CHECK(metrics.mean_iou == Approx((1 + 200.0 / (300 + 400 - 200) + 200.0 / (1000 + 400 - 200)) / 3));
  CHECK(anchor_fitness(sizes, anchors, {}) == Approx((1 + 0.5) / 3));
  CHECK(anchor_fitness(sizes, anchors, {.metric = AnchorMetric::kIou}) == Approx(metrics.mean_iou));
}

TEST_CASE("anchors: the groups that are there are found, the same for the same seed") {
  const auto sizes = three_groups(40);
  AnchorParams params;
  params.generations = 200;
  const auto found = find_anchors(sizes, 3, params);
  REQUIRE(found.size() == 3);
  CHECK(found[0][0] == Approx(10).epsilon(0.05));
  CHECK(found[1][1] == Approx(40).epsilon(0.05));
  CHECK(found[2][0] == Approx(200).epsilon(0.05));
  CHECK(find_anchors(sizes, 3, params) == found);
  AnchorParams no_evolution = params;
  no_evolution.generations = 0;
  CHECK(anchor_fitness(sizes, found, {}) >= anchor_fitness(sizes, find_anchors(sizes, 3, no_evolution), {}));
}

TEST_CASE("anchors: those found by overlap overlap more, and large boxes count no more than small ones") {
  // Two thirds are small squares; by distance in pixels the large ones would take most of the centres.
  std::vector<Size2> sizes;
  RandomStream random(5, 0, 0);
  for (int i = 0; i < 90; ++i) sizes.push_back({random.uniform(8, 40), random.uniform(8, 40)});
  for (int i = 0; i < 30; ++i) sizes.push_back({random.uniform(300, 600), random.uniform(300, 600)});
  AnchorParams by_ratio{.generations = 0}, by_iou{.generations = 0, .metric = AnchorMetric::kIou};
  const auto found = find_anchors(sizes, 6, by_iou);
  REQUIRE(found.size() == 6);
  CHECK(find_anchors(sizes, 6, by_iou) == found);
  CHECK(std::count_if(found.begin(), found.end(), [](const Size2& a) { return a[0] < 50; }) >= 4);
  const auto quality = [&](const AnchorParams& params) {
    return measure_anchors(sizes, find_anchors(sizes, 6, params), 4).mean_iou;
  };
  CHECK(quality(by_iou) > quality(by_ratio));
  const double before = quality(by_iou);
  by_iou.generations = 200;
  CHECK(quality(by_iou) >= before);
}

TEST_CASE("anchors: the labels of a head are those of its classes") {
  MemoryDataset set;
  set.add(Image(320, 160), {{0, 0.5f, 0.5f, 0.1f, 0.1f, {}, false}, {3, 0.5f, 0.5f, 0.5f, 0.5f, {}, false}});
  const std::vector<int> head{1, 3};
  const auto sizes = label_sizes(set, {}, false, head);
  REQUIRE(sizes.size() == 1);
  CHECK(sizes[0][0] == Approx(320));
}

TEST_CASE("anchors: labels that are all alike, tiny or few neither fail nor give nonsense") {
  AnchorParams params;
  params.generations = 20;
  const auto alike = find_anchors(std::vector<Size2>(100, {20, 30}), 9, params);
  REQUIRE(alike.size() == 9);
  for (const Size2& a : alike) CHECK((a[0] > 10 && a[0] < 40 && a[1] > 15 && a[1] < 60));
  CHECK(find_anchors(std::vector<Size2>(26, {20, 30}), 9, params).empty());
  CHECK(find_anchors(std::vector<Size2>(100, {20, 1}), 9, params).empty());
  CHECK(find_anchors({}, 9, params).empty());
}

TEST_CASE("anchors: fitting ones are kept, bad ones replaced, and the report says so") {
  const MemoryDataset set = dataset_of(three_groups(20));
  AnchorParams params;
  params.img_size = 320;
  params.generations = 50;
  const std::vector<Size2> good{{10, 14}, {60, 40}, {200, 210}}, bad{{1, 1}, {2, 2}, {3, 3}};
  const AnchorReport kept = check_anchors(set, good, params);
  CHECK_FALSE(kept.replaced);
  CHECK(kept.before.recall == 1);
  CHECK(kept.anchors == good);
  const AnchorReport replaced = check_anchors(set, bad, params);
  CHECK(replaced.replaced);
  CHECK(replaced.before.recall == 0);
  CHECK(replaced.after.recall == 1);
  CHECK(replaced.labels == 60);
  CHECK_THAT(replaced.message, Catch::Contains("replaced"));
  CHECK_FALSE(check_anchors(dataset_of({{10, 10}}), bad, params).replaced);
  CHECK_FALSE(check_anchors(MemoryDataset{}, bad, params).replaced);
}

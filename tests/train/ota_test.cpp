#include "train/losses/ota.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <tuple>

#include "tests/train/loss_problem.h"
#include "train/losses/bce.h"

using namespace mtyolo;
using namespace mtyolo::train;
using test::LossProblem;

namespace {

using Key = std::tuple<size_t, int, int, int, int>;  // level, anchor, row, column, target
using Levels = std::vector<std::vector<Match>>;

struct Scene {
  LossProblem problem;
  std::vector<Grid> grids;
  std::vector<int> rows;
  Levels candidates;

  Scene(int64_t side, int nc, int objects, uint64_t seed) : problem(1, side, side, nc, objects, seed) {
    grids = grids_of(problem.head, problem.levels);
    rows = targets_by_image(problem.input(), nc)[0];
    for (const Grid& grid : grids) candidates.push_back(find_candidates(grid, problem.targets, rows, 4, 0.5));
  }
  OtaParams params() const {
    OtaParams p;
    p.scale_x = p.scale_y = double(problem.width);
    return p;
  }
  Levels assign(int threads, const OtaParams& p) const {
    Context ctx(threads);
    return assign_ota(ctx, grids, problem.levels, problem.targets, rows, candidates, p);
  }
};

std::vector<Key> keys(const Levels& levels) {
  std::vector<Key> out;
  for (size_t level = 0; level < levels.size(); ++level)
    for (const Match& m : levels[level]) out.emplace_back(level, m.anchor, m.gj, m.gi, m.target);
  return out;
}

// IoU and cost of one pair, by the text of train.md 8.4.
std::pair<double, double> pair_of(const Scene& s, size_t level, const Match& m, const Target& t,
                                  double scale) {
  const Grid& grid = s.grids[level];
  const int64_t columns = 5 + s.problem.head.nc;
  const double* z = s.problem.levels[level].data<double>() + grid.cell(m) * columns;
  const auto square = [](double v) { return v * v; };
  const double x = (2 * sigmoid(z[0]) - 0.5 + m.gi) * grid.stride,
               y = (2 * sigmoid(z[1]) - 0.5 + m.gj) * grid.stride;
  const double w = square(2 * sigmoid(z[2])) * s.problem.head.anchors[level][size_t(2 * m.anchor)];
  const double h = square(2 * sigmoid(z[3])) * s.problem.head.anchors[level][size_t(2 * m.anchor + 1)];
  const double tx = t.x * scale, ty = t.y * scale, tw = t.w * scale, th = t.h * scale;
  const double ox = std::min(x + w / 2, tx + tw / 2) - std::max(x - w / 2, tx - tw / 2);
  const double oy = std::min(y + h / 2, ty + th / 2) - std::max(y - h / 2, ty - th / 2);
  const double inter = std::max(ox, 0.0) * std::max(oy, 0.0), iou = inter / (w * h + tw * th - inter);
  double cost = -3 * std::log(iou + 1e-8);
  for (int k = 0; k < s.problem.head.nc; ++k) {
    const double p = std::sqrt(sigmoid(z[5 + k]) * sigmoid(z[4]));
    cost -= std::log(k == t.cls ? p : 1 - p);
  }
  return {iou, cost};
}

// The definition: whole matrices of targets x candidates.
std::vector<Key> by_definition(const Scene& s, const OtaParams& p) {
  std::vector<std::pair<size_t, Match>> all;
  for (size_t level = 0; level < s.candidates.size(); ++level)
    for (const Match& m : s.candidates[level]) all.emplace_back(level, m);
  std::vector<std::vector<double>> cost(s.rows.size());
  std::vector<std::vector<bool>> marked(s.rows.size(), std::vector<bool>(all.size()));
  for (size_t t = 0; t < s.rows.size(); ++t) {
    std::vector<double> ious;
    for (const auto& [level, m] : all) {
      const auto pair = pair_of(s, level, m, s.problem.targets[size_t(s.rows[t])], p.scale_x);
      ious.push_back(pair.first);
      cost[t].push_back(pair.second);
    }
    std::sort(ious.rbegin(), ious.rend());
    double sum = 0;
    for (size_t i = 0; i < std::min(ious.size(), size_t(p.top)); ++i) sum += ious[i];
    std::vector<size_t> order(all.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return std::pair(cost[t][a], a) < std::pair(cost[t][b], b); });
    const size_t positives = std::min(order.size(), size_t(std::max(1, int(sum))));
    for (size_t i = 0; i < positives; ++i) marked[t][order[i]] = true;
  }
  std::vector<Key> out;
  for (size_t c = 0; c < all.size(); ++c) {
    size_t marks = 0, owner = 0, least = 0;
    for (size_t t = 0; t < s.rows.size(); ++t) {
      if (marked[t][c]) {
        ++marks;
        owner = t;
      }
      if (cost[t][c] < cost[least][c]) least = t;
    }
    if (marks == 0) continue;
    const Match& m = all[c].second;
    out.emplace_back(all[c].first, m.anchor, m.gj, m.gi, s.rows[marks > 1 ? least : owner]);
  }
  return out;
}

}  // namespace

TEST_CASE("train: OTA by tiles is the definition by whole matrices") {
  for (const uint64_t seed : {1, 2, 3}) {
    const Scene s(160, 6, 60, seed);
    OtaParams p = s.params();
    p.top = seed == 2 ? 20 : 10;
    const std::vector<Key> want = by_definition(s, p);
    REQUIRE(want.size() > 60);
    for (const int64_t tile : {1, 37, 2048}) {
      p.tile = tile;
      CHECK(keys(s.assign(tile == 37 ? 3 : 1, p)) == want);
    }
  }
}

TEST_CASE("train: copies of a candidate cost the same, and the lowest number is taken first") {
  // Ten equal targets propose each cell ten times; every copy costs the same for every target.
  Scene s(64, 2, 1, 9);
  s.problem.targets.assign(10, {.image = 0, .cls = 1, .x = 0.4f, .y = 0.6f, .w = 0.2f, .h = 0.3f});
  s.rows = targets_by_image(s.problem.input(), 2)[0];
  for (size_t i = 0; i < s.grids.size(); ++i)
    s.candidates[i] = find_candidates(s.grids[i], s.problem.targets, s.rows, 4, 0.5);
  const std::vector<Key> got = keys(s.assign(2, s.params()));
  CHECK(got == by_definition(s, s.params()));
  for (const Key& key : got)
    CHECK(std::get<4>(key) == 0);  // contested by all, equal for all: the first target
}

TEST_CASE("train: 2000 objects in one image are assigned within a fixed workspace") {
  const Scene s(640, 20, 2000, 4);
  size_t candidates = 0;
  for (const auto& level : s.candidates) candidates += level.size();
  REQUIRE(candidates > 15'000);
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const Levels matches = s.assign(2, s.params());
  getrusage(RUSAGE_SELF, &after);
  CHECK(keys(matches).size() > 400);
  CHECK((after.ru_maxrss - before.ru_maxrss) / 1024 < 24);  // MiB; targets x candidates in doubles take 270
}

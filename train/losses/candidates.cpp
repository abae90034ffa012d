#include "train/losses/candidates.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mtyolo::train {
namespace {

bool can_be_matched(const Target& t) {
  const bool finite = std::isfinite(t.x) && std::isfinite(t.y) && std::isfinite(t.w) && std::isfinite(t.h);
  return finite && t.w > 0 && t.h > 0;
}

struct Pair {
  int anchor, target;
};

// max(r, 1/r) < anchor_t on both axes, r = side of the target / side of the anchor.
std::vector<Pair> pairs_of_like_size(const Grid& grid, std::span<const Target> targets,
                                     std::span<const int> rows, double anchor_t) {
  std::vector<Pair> pairs;
  for (int a = 0; a < grid.anchor_count(); ++a)
    for (const int row : rows) {
      const Target& t = targets[size_t(row)];
      const double rw = t.w * double(grid.nx) / grid.anchors[size_t(2 * a)];
      const double rh = t.h * double(grid.ny) / grid.anchors[size_t(2 * a + 1)];
      if (std::max({rw, 1 / rw, rh, 1 / rh}) < anchor_t) pairs.push_back({a, row});
    }
  return pairs;
}

double fraction(double x) { return x - std::floor(x); }

// Towards zero, then into the grid; the clamp comes first where the number may not fit.
int cell_of(double x, int64_t size) { return int(std::clamp(std::trunc(x), 0.0, double(size - 1))); }

}  // namespace

std::vector<Grid> grids_of(const HeadSpec& head, std::span<const Tensor> maps) {
  MTYOLO_CHECK(maps.size() == head.anchors.size() && maps.size() == head.strides.size() && !maps.empty(),
               "loss: {} maps for {} levels of anchors and {} strides", maps.size(), head.anchors.size(),
               head.strides.size());
  std::vector<Grid> grids;
  for (size_t i = 0; i < maps.size(); ++i) {
    const Tensor& m = maps[i];
    const int64_t anchors = int64_t(head.anchors[i].size() / 2);
    const bool fits = m.rank() == 5 && m.size(0) == maps[0].size(0) && m.size(1) == anchors &&
                      m.size(2) > 0 && m.size(3) > 0 && m.size(4) == 5 + head.nc && m.is_contiguous() &&
                      m.dtype() == maps[0].dtype();
    MTYOLO_CHECK(fits && (m.dtype() == DType::kF32 || m.dtype() == DType::kF64),
                 "loss: map {} is {}, expected [{},{},ny,nx,{}] contiguous, float32 or float64 as the first",
                 i, m, maps[0].size(0), anchors, 5 + head.nc);
    Grid grid{m.size(2), m.size(3), head.strides[i], {}};
    for (const float side : head.anchors[i]) grid.anchors.push_back(side / grid.stride);
    grids.push_back(std::move(grid));
  }
  return grids;
}

std::vector<std::vector<int>> targets_by_image(const LossInput& input, int nc) {
  const int64_t images = input.levels[0].size(0);
  MTYOLO_CHECK(input.labelled.empty() || int64_t(input.labelled.size()) == images,
               "loss: {} flags of labelled images for {} images", input.labelled.size(), images);
  std::vector<std::vector<int>> rows(static_cast<size_t>(images));
  for (size_t i = 0; i < input.targets.size(); ++i) {
    const Target& t = input.targets[i];
    MTYOLO_CHECK(t.image >= 0 && t.image < images && t.cls >= 0 && t.cls < nc,
                 "loss: target {} is of image {} and class {}; there are {} images and {} classes", i,
                 t.image, t.cls, images, nc);
    const bool labelled = input.labelled.empty() || input.labelled[size_t(t.image)] != 0;
    if (labelled && can_be_matched(t)) rows[size_t(t.image)].push_back(int(i));
  }
  return rows;
}

std::vector<Match> find_candidates(const Grid& grid, std::span<const Target> targets,
                                   std::span<const int> rows, double anchor_t, double reach) {
  const std::vector<Pair> pairs = pairs_of_like_size(grid, targets, rows, anchor_t);
  const double nx = double(grid.nx), ny = double(grid.ny);
  const auto near = [&](double distance) { return fraction(distance) < reach && distance > 1; };
  std::vector<Match> out;
  for (int pass = 0; pass < 5; ++pass) {  // own cell, left, up, right, down
    for (const Pair& p : pairs) {
      const Target& t = targets[size_t(p.target)];
      const double x = t.x * nx, y = t.y * ny;
      const std::array<bool, 5> emits{true, near(x), near(y), near(nx - x), near(ny - y)};
      if (!emits[size_t(pass)]) continue;
      const double dx = pass == 1 ? reach : pass == 3 ? -reach : 0;
      const double dy = pass == 2 ? reach : pass == 4 ? -reach : 0;
      out.push_back({t.image, p.anchor, cell_of(y - dy, grid.ny), cell_of(x - dx, grid.nx), p.target});
    }
  }
  return out;
}

}  // namespace mtyolo::train

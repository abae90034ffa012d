// Which cells and anchors may predict which target (train.md section 8.2).
#pragma once

#include <span>
#include <vector>

#include "train/losses/loss.h"

namespace mtyolo::train {

// The grid of one level, seen by the losses.
struct Grid {
  int64_t ny = 0, nx = 0;
  double stride = 1;
  std::vector<double> anchors;  // in cells: w,h,w,h,...
  int anchor_count() const { return int(anchors.size() / 2); }
  int64_t cells() const { return anchor_count() * ny * nx; }
  // Index of a match's cell among the cells of its image.
  int64_t cell(const Match& m) const { return (m.anchor * ny + m.gj) * nx + m.gi; }
};

// One grid per level. Throws Error{"check"} unless the maps are what LossInput says.
std::vector<Grid> grids_of(const HeadSpec& head, std::span<const Tensor> maps);

// Targets of each image that can be matched, in input order: those of images that are not labelled are left
// out, and those whose sides are not above 0 or whose numbers are not finite (known-issues L3).
std::vector<std::vector<int>> targets_by_image(const LossInput& input, int nc);

// Candidates of the targets `rows`, all of one image, in the order of 8.2: offset, anchor, target. `reach` is
// the largest distance to a neighbouring cell: 0.5 or 1.
std::vector<Match> find_candidates(const Grid& grid, std::span<const Target> targets,
                                   std::span<const int> rows, double anchor_t, double reach);

}  // namespace mtyolo::train

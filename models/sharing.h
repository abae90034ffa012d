// How much the heads of a network share (architecture.md section 6): a `sharing:` block of the cfg, kept in
// the cfg of every checkpoint, so that loading, resuming and exporting need no case for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mtyolo::models {

//   hard   rows 0..until exist once, the rows after them once per head
//   soft   every row exists once per head; rows couple_first..couple_last are tied by
//          strength * sum (a - b)^2 over each pair of heads, or their values are mixed after the rows
//          `cross_stitch` (Misra et al. 2016, "Cross-stitch Networks for Multi-task Learning", section 3)
//   none   every row exists once per head: as many networks as heads in one file
struct Sharing {
  enum class Mode : uint8_t { kHard, kSoft, kNone };
  Mode mode = Mode::kHard;
  int until = -1;  // last shared row; -1 = all but the detection row
  // -1 = all rows before the detection row; both -1 and cross-stitch rows given = no tie.
  int couple_first = -1, couple_last = -1;
  double strength = 1e-4;
  std::vector<int> cross_stitch = {};  // rows, ascending
  bool operator==(const Sharing&) const = default;
};

// Two parameters of equal shape that a tie holds together: strength * sum (first - second)^2 joins the loss.
struct Coupling {
  std::string first, second;
  double strength = 0;
};

}  // namespace mtyolo::models

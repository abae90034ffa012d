// How much the heads of a network share (architecture.md section 6): a `sharing:` block of the cfg, kept in
// the cfg of every checkpoint, so that loading, resuming and exporting need no case for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/document.h"

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

// A cfg has `rows` rows, the last of them the detection row, which belongs to its head in every mode.
inline int shared_until(const Sharing& s, int rows) { return s.until < 0 ? rows - 2 : s.until; }
bool is_tied(const Sharing& s);  // soft, and not by cross-stitch units alone

// The `sharing:` block and back. Throws Error{"config"} with line and column.
Sharing sharing_from_document(const Document& block, int rows);
Document sharing_to_document(const Sharing& sharing);
// Throws Error{kUsage, "sharing"} for rows that do not exist and parts that do not go together.
void check_sharing(const Sharing& sharing, int rows);
std::string describe(const Sharing& sharing, int rows);  // "hard, rows 0-76 shared"

// --sharing, --share-until, --couple, --couple-strength, --cross-stitch; the defaults mean: not given.
struct SharingFlags {
  std::string mode = {};
  int until = -1;
  std::string couple = {};
  double strength = -1;
  std::vector<std::string> cross_stitch = {};
  bool given() const { return *this != SharingFlags{}; }
  bool operator==(const SharingFlags&) const = default;
};
// What the flags say, the rest from `base`; another mode than base's starts from the defaults. Not checked
// against the rows. Throws Error{kUsage, "sharing"}.
Sharing with_flags(const Sharing& base, const SharingFlags& flags);

// Two parameters of equal shape that a tie holds together: strength * sum (first - second)^2 joins the loss.
struct Coupling {
  std::string first, second;
  double strength = 0;
};

}  // namespace mtyolo::models

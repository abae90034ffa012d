// Offsets of buffers in one arena: buffers whose lives overlap never share bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace mtyolo::models {

struct BufferLife {
  int64_t floats = 0;
  int first_step = 0, last_step = 0;  // inclusive
  int64_t offset = -1;                // result, in floats, a multiple of 16
};

// Largest first, best fit; what ends on top comes earlier in the next of some attempts, the best of which
// counts. Returns the floats of the arena.
int64_t assign_offsets(std::vector<BufferLife>& buffers);

}  // namespace mtyolo::models

// Kernels that know one register of each block, run for every register of it. Rows stay in the first-level
// cache in between. Included as simd.h is.
#pragma once

#include "ops/blocked/simd.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

inline void move_lanes(MapView& m, int lanes) {
  if (m.data != nullptr) m.data = static_cast<char*>(m.data) + lanes * (m.type == Element::kBF16 ? 2 : 4);
}
template <class T>
inline void move_lanes(T*& p, int lanes) {
  if (p != nullptr) p += lanes;
}
template <class... Views>
inline void move_all(int lanes, Views&... views) {
  (move_lanes(views, lanes), ...);
}

template <void (*kKernel)(const NormTask&)>
void norm_parts(const NormTask& task) {
  if constexpr (kParts == 1) return kKernel(task);
  for (int lanes = 0; lanes < kBlock; lanes += kFloats) {
    NormTask part = task;
    move_all(lanes, part.x, part.gy, part.y, part.mean, part.inv_std, part.scale, part.bias, part.mean_gu,
             part.mean_gu_xhat, part.sums);
    kKernel(part);
  }
}

template <void (*kKernel)(const WinogradTask&)>
void winograd_parts(const WinogradTask& task) {
  if constexpr (kParts == 1) return kKernel(task);
  for (int row = task.tile_row_begin; row < task.tile_row_end; ++row)
    for (int lanes = 0; lanes < kBlock; lanes += kFloats) {
      WinogradTask part = task;
      part.tile_row_begin = row, part.tile_row_end = row + 1;
      move_all(lanes, part.x, part.y, part.residual, part.bias);
      move_all((row - task.tile_row_begin) * task.tile_columns * kBlock + lanes, part.v, part.m);
      kKernel(part);
    }
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

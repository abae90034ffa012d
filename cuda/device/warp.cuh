// What the 32 lanes of a warp do together.
#pragma once

#include "cuda/device/config.cuh"
#ifdef MTYOLO_SIMT
#include <algorithm>

#include "cuda/simt/collective.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

inline constexpr uint32_t kAllLanes = 0xffffffffu;
inline constexpr uint32_t kWarp = 32;

// Blocks are one-dimensional in this project wherever warps matter.
MTYOLO_DEV uint32_t lane_index() { return thread_index().x % kWarp; }
MTYOLO_DEV uint32_t warp_index() { return thread_index().x / kWarp; }

#ifdef MTYOLO_SIMT

inline void sync_warp(uint32_t mask = kAllLanes, Site at = Site::here()) { emulator::sync_warp(mask, at); }
template <class T>
T shfl(T value, uint32_t lane, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::shuffle<emulator::Shuffle::kIndex>(mask, value, lane, width, at);
}
template <class T>
T shfl_up(T value, uint32_t by, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::shuffle<emulator::Shuffle::kUp>(mask, value, by, width, at);
}
template <class T>
T shfl_down(T value, uint32_t by, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::shuffle<emulator::Shuffle::kDown>(mask, value, by, width, at);
}
template <class T>
T shfl_xor(T value, uint32_t bits, uint32_t width = kWarp, uint32_t mask = kAllLanes,
           Site at = Site::here()) {
  return emulator::shuffle<emulator::Shuffle::kXor>(mask, value, bits, width, at);
}
inline uint32_t ballot(bool vote, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::ballot(mask, vote, at);
}
inline bool any(bool vote, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::ballot(mask, vote, at) != 0;
}
inline bool all(bool vote, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::ballot(mask, vote, at) == mask;
}
template <class T>
uint32_t match_any(T value, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::match_any(mask, value, at);
}
// int32_t or uint32_t, as redux.sync.
template <class T>
T reduce_add(T value, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return T(emulator::reduce(
      mask, uint32_t(value), [](uint32_t a, uint32_t b) { return a + b; }, at));
}
template <class T>
T reduce_max(T value, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::reduce(
      mask, value, [](T a, T b) { return std::max(a, b); }, at);
}
template <class T>
T reduce_min(T value, uint32_t mask = kAllLanes, Site at = Site::here()) {
  return emulator::reduce(
      mask, value, [](T a, T b) { return std::min(a, b); }, at);
}
inline uint32_t count_bits(uint32_t v) { return uint32_t(std::popcount(v)); }
inline uint32_t lowest_bit(uint32_t v) { return uint32_t(std::countr_zero(v)); }  // 32 for 0

#else

MTYOLO_DEV void sync_warp(uint32_t mask = kAllLanes, Site = {}) { __syncwarp(mask); }
template <class T>
MTYOLO_DEV T shfl(T value, uint32_t lane, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site = {}) {
  return __shfl_sync(mask, value, int(lane), int(width));
}
template <class T>
MTYOLO_DEV T shfl_up(T value, uint32_t by, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site = {}) {
  return __shfl_up_sync(mask, value, by, int(width));
}
template <class T>
MTYOLO_DEV T shfl_down(T value, uint32_t by, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site = {}) {
  return __shfl_down_sync(mask, value, by, int(width));
}
template <class T>
MTYOLO_DEV T shfl_xor(T value, uint32_t bits, uint32_t width = kWarp, uint32_t mask = kAllLanes, Site = {}) {
  return __shfl_xor_sync(mask, value, int(bits), int(width));
}
MTYOLO_DEV uint32_t ballot(bool vote, uint32_t mask = kAllLanes, Site = {}) {
  return __ballot_sync(mask, vote);
}
MTYOLO_DEV bool any(bool vote, uint32_t mask = kAllLanes, Site = {}) { return __any_sync(mask, vote) != 0; }
MTYOLO_DEV bool all(bool vote, uint32_t mask = kAllLanes, Site = {}) { return __all_sync(mask, vote) != 0; }
template <class T>
MTYOLO_DEV uint32_t match_any(T value, uint32_t mask = kAllLanes, Site = {}) {
  return __match_any_sync(mask, value);
}
#if __CUDA_ARCH__ >= 800 || !defined(__CUDA_ARCH__)
template <class T>
MTYOLO_DEV T reduce_add(T value, uint32_t mask = kAllLanes, Site = {}) {
  return __reduce_add_sync(mask, value);
}
template <class T>
MTYOLO_DEV T reduce_max(T value, uint32_t mask = kAllLanes, Site = {}) {
  return __reduce_max_sync(mask, value);
}
template <class T>
MTYOLO_DEV T reduce_min(T value, uint32_t mask = kAllLanes, Site = {}) {
  return __reduce_min_sync(mask, value);
}
#else  // no redux.sync: the lanes of the mask one by one
template <class T, class F>
MTYOLO_DEV T fold_lanes(T value, uint32_t mask, F&& combine) {
  T result = __shfl_sync(mask, value, __ffs(int(mask)) - 1);
  for (uint32_t left = mask & (mask - 1); left != 0; left &= left - 1)
    result = combine(result, __shfl_sync(mask, value, __ffs(int(left)) - 1));
  return result;
}
template <class T>
MTYOLO_DEV T reduce_add(T value, uint32_t mask = kAllLanes, Site = {}) {
  return fold_lanes(value, mask, [](T a, T b) { return a + b; });
}
template <class T>
MTYOLO_DEV T reduce_max(T value, uint32_t mask = kAllLanes, Site = {}) {
  return fold_lanes(value, mask, [](T a, T b) { return a > b ? a : b; });
}
template <class T>
MTYOLO_DEV T reduce_min(T value, uint32_t mask = kAllLanes, Site = {}) {
  return fold_lanes(value, mask, [](T a, T b) { return a < b ? a : b; });
}
#endif
MTYOLO_DEV uint32_t count_bits(uint32_t v) { return uint32_t(__popc(v)); }
MTYOLO_DEV uint32_t lowest_bit(uint32_t v) { return v == 0 ? 32 : uint32_t(__ffs(int(v)) - 1); }

#endif

// The sum of all lanes, in every lane; the order of additions is fixed.
template <class T>
MTYOLO_DEV T warp_sum(T value, Site at = Site::here()) {
  MTYOLO_UNROLL
  for (uint32_t bits = MTYOLO_MUTANT(19, kWarp / 2, kWarp / 4); bits > 0; bits /= 2)
    value += shfl_xor(value, bits, kWarp, kAllLanes, at);
  return value;
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

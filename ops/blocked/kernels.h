// The blocked-layout kernels and their tables, one per instruction set. This header and the kernel sources
// include nothing but <cstdint>: they are compiled several times with different instruction sets, and an
// inline function of a shared header compiled for AVX-512 must not be picked by the linker for the whole
// program.
#pragma once

#include <cstdint>

#include "ops/blocked/kernel_tasks.h"

namespace mtyolo::ops::blocked {

// All take one image and the rows or blocks [begin, end) of the destination, so that callers can split the
// work.
struct KernelTable {
  const char* isa;
  int32_t panel;                                      // output channels of one weight panel: 16 or 32
  int32_t tile;                                       // output pixels of one register tile
  void (*conv)(const ConvTask&);                      // x f32, y and residual of either type
  void (*conv_bf16)(const ConvTask&);                 // x bf16, the same, sums f32
  void (*winograd_input)(const WinogradTask&);        // x to v
  void (*winograd_output)(const WinogradTask&);       // m to the blocks of one panel of y
  void (*winograd_output_grad)(const WinogradTask&);  // v = A x A^T of the pixels of a tile of x, a gradient
  void (*winograd_weight)(const WinogradWeightTask&);
  // The 9 taps G^T u G of `lanes` lanes, [lane][9][panel], from their [position][lane][panel].
  void (*winograd_weight_grad)(int32_t form, const float* u, int64_t u_position, int32_t lanes, float* g);
  // From the quarters 11, 12, 21, 22 of x the sums T1 to T4, whose sizes count.
  void (*strassen_input)(const MapView (&x)[4], const MapView (&t)[4]);
  void (*strassen_product)(const StrassenTask&);
  void (*outer)(const OuterTask&);
  void (*outer_bf16)(const OuterTask&);
  void (*pair_pixels)(const PairTask&);
  // [lanes][panel] f32 to bf16 pairs of lanes, [ceil(lanes/2)][panel][2].
  void (*pair_lanes)(const float* from, int32_t lanes, uint32_t* to);
  // Moments of n pixels: the first pixel x0, sum of x - x0, and sum of squares of x - (x0 + that sum / n).
  void (*norm_moments)(const NormTask&);
  void (*norm_apply)(const NormTask&);
  void (*norm_grad_sums)(const NormTask&);  // stores gu in y, if there is one
  void (*norm_grad)(const NormTask&);       // y = scale * (gu - mean_gu - xhat * mean_gu_xhat)
  void (*max_pool)(const PoolTask&, int32_t block_begin, int32_t block_end);
  void (*max_pool_grad)(const PoolGradTask&, int32_t block);
  void (*upsample)(const MapView& x, const MapView& y, int32_t scale, int32_t block_begin, int32_t block_end);
  void (*upsample_grad)(const MapView& gy, const MapView& gx, int32_t scale, bool add, int32_t block_begin,
                        int32_t block_end);
  void (*add)(const MapView& a, const MapView& b, const MapView& y, int32_t block_begin, int32_t block_end);
  void (*activate)(const MapView& y, Epilogue epilogue, float slope, int32_t block_begin, int32_t block_end);
  void (*decode)(const DecodeTask&, int32_t row_begin, int32_t row_end);
};

// What every processor of its kind can run.
#if defined(__aarch64__)
#define MTYOLO_COMMON_ISA neon
#else
#define MTYOLO_COMMON_ISA baseline
#endif
namespace MTYOLO_COMMON_ISA {
extern const KernelTable kTable;
}
namespace common = MTYOLO_COMMON_ISA;
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}
namespace avx512bf16 {
extern const KernelTable kTable;
}

}  // namespace mtyolo::ops::blocked

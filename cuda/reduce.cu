#include "cuda/reduce.h"

#include "cuda/check.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

constexpr int kThreads = 128;
constexpr int kShortRow = 512;  // up to here a warp sums a row, beyond it a block

// The part of a row that worker `worker` of `workers` adds: 16 bytes at a time where rows are aligned.
template <class T>
MTYOLO_DEV float part_of_row(const T* row, int columns, int worker, int workers, bool aligned) {
  float sum = 0;
  int done = 0;
  if (aligned) {
    constexpr int kPack = Pack<T>::kSize;
    done = columns / kPack * kPack;
    for (int i = worker * kPack; i < done; i += workers * kPack) {
      const Pack<T> pack = ld128_nc(row + i);
      MTYOLO_UNROLL
      for (int e = 0; e < kPack; ++e) sum += to_float(pack.values[e]);
    }
  }
  for (int i = done + worker; i < MTYOLO_MUTANT(14, columns, columns - 1); i += workers)
    sum += to_float(row[i]);
  return sum;
}

template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 8) warp_row_sum_kernel(RowSumArgs p, bool aligned) {
  const int row = int(block_index().x * (kThreads / kWarp) + warp_index());
  if (row >= p.rows) return;
  const T* x = static_cast<const T*>(p.x) + int64_t{row} * p.stride;
  const float sum = warp_sum(part_of_row(x, p.columns, int(lane_index()), int(kWarp), aligned));
  if (lane_index() == MTYOLO_MUTANT(15, 0u, 32u)) p.sums[row] = sum;
}

template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 8) block_row_sum_kernel(RowSumArgs p, bool aligned) {
  const int row = int(block_index().x);
  const T* x = static_cast<const T*>(p.x) + int64_t{row} * p.stride;
  const float sum = block_sum(part_of_row(x, p.columns, int(thread_index().x), kThreads, aligned));
  if (thread_index().x == 0) p.sums[row] = sum;
}

template <class T>
void row_sum_typed(KernelStream stream, const RowSumArgs& args) {
  const bool aligned = (args.stride * sizeof(T)) % 16 == 0 && reinterpret_cast<uintptr_t>(args.x) % 16 == 0;
  const uint32_t rows = uint32_t(args.rows), per_block = kThreads / kWarp;
  if (args.columns <= kShortRow)
    launch(warp_row_sum_kernel<T>, {{(rows + per_block - 1) / per_block}, {kThreads}}, stream, args, aligned);
  else launch(block_row_sum_kernel<T>, {{rows}, {kThreads}}, stream, args, aligned);
}

}  // namespace

void row_sum(KernelStream stream, const RowSumArgs& args) {
  check_argument(args.rows > 0 && args.columns > 0 && args.stride >= args.columns,
                 "row_sum: rows and columns must be positive, the stride no shorter than a row");
  switch (args.type) {
    case KernelType::kF32:
      return row_sum_typed<float>(stream, args);
    case KernelType::kF16:
      return row_sum_typed<half>(stream, args);
    case KernelType::kBF16:
      return row_sum_typed<bfloat16>(stream, args);
    default:
      check_argument(false, "row_sum: x must be f32, f16 or bf16");
  }
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

#include "tests/cuda/race_kernels.h"

#include "cuda/device/block.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/launch.h"
#include "tests/cuda/simt_testing.h"

namespace mtyolo::simt {
namespace {

MTYOLO_KERNEL barrier_kernel(int* out, bool ordered) {
  MTYOLO_SMEM(int, tile, [64]);
  const uint32_t t = thread_index().x;
  tile[t] = int(t);
  if (ordered) sync();
  out[t] = tile[63 - t];  // of another warp
}
MTYOLO_KERNEL warp_kernel(int* out, bool ordered) {
  MTYOLO_SMEM(int, tile, [64]);
  const uint32_t t = thread_index().x;
  tile[t] = int(t);
  if (ordered) sync_warp();
  out[t] = tile[t ^ 1];
}
MTYOLO_KERNEL shuffle_kernel(int* out, bool ordered) {  // a shuffle orders no memory
  MTYOLO_SMEM(int, tile, [64]);
  const uint32_t t = thread_index().x;
  tile[t] = int(t);
  const int by = shfl(1, 0);
  if (ordered) sync_warp();
  out[t] = tile[t ^ uint32_t(by)];
}
MTYOLO_KERNEL ring_kernel(const float* in, float* out, bool ordered) {
  MTYOLO_SMEM(float, tile, [64]);
  const uint32_t t = thread_index().x;
  float sum = 0;
  for (int step = 0; step < 3; ++step) {
    cp_async<4>(&tile[t], in + t);
    cp_async_commit();
    cp_async_wait<0>();
    sync();
    sum += tile[63 - t];
    if (ordered) sync();
  }
  out[t] = sum;
}
MTYOLO_KERNEL blocks_kernel(int* out, bool ordered) {
  const uint32_t t = thread_index().x;
  out[ordered ? block_index().x * 64 + t : t] = int(block_index().x);
}
MTYOLO_KERNEL semaphore_kernel(int* out, uint32_t* counter, bool ordered) {
  out[block_index().x * 64 + thread_index().x] = 1;
  if (ordered ? last_block(counter, 2) : block_index().x == 1)
    out[128 + thread_index().x] = out[thread_index().x];
}
MTYOLO_KERNEL atomic_kernel(int* out, bool ordered) {
  if (ordered) atomic_add(out, 1);
  else *out = *out + 1;
}

}  // namespace
}  // namespace mtyolo::simt

namespace mtyolo::test {

void run_race_kernel(RaceKernel which, bool ordered) {
  using namespace mtyolo::simt;
  const SimtBuffer<int> out(std::vector<int>(256, 0));
  const SimtBuffer<float> in(std::vector<float>(64, 1.0f)), sums(64);
  const SimtBuffer<uint32_t> counter(std::vector<uint32_t>{0});
  const LaunchDims one{{1}, {64}}, two{{2}, {64}};
  switch (which) {
    case RaceKernel::kBarrier:
      return launch(barrier_kernel, one, {}, out.get(), ordered);
    case RaceKernel::kWarp:
      return launch(warp_kernel, one, {}, out.get(), ordered);
    case RaceKernel::kShuffle:
      return launch(shuffle_kernel, one, {}, out.get(), ordered);
    case RaceKernel::kRing:
      return launch(ring_kernel, one, {}, in.get(), sums.get(), ordered);
    case RaceKernel::kBlocks:
      return launch(blocks_kernel, two, {}, out.get(), ordered);
    case RaceKernel::kSemaphore:
      return launch(semaphore_kernel, two, {}, out.get(), counter.get(), ordered);
    case RaceKernel::kAtomic:
      return launch(atomic_kernel, two, {}, out.get(), ordered);
  }
}

}  // namespace mtyolo::test

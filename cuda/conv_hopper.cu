#include "cuda/conv_hopper.h"

#include <algorithm>

#include "cuda/check.h"
#include "cuda/conv_epilogue.cuh"
#include "cuda/device/hopper.cuh"
#include "cuda/device/tensor_map.cuh"
#include "cuda/device/wgmma.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

// A block is two warpgroups that multiply, 64 pixels each, and one of which a single thread copies. A stage
// of the ring holds 64 channels of one tap: 128 pixels of x and N rows of weight, 128 bytes each, swizzled.
// Each stage has a barrier for "its bytes have come" and one for "both warpgroups are done with it".
constexpr int kM = 128, kConsumers = 2, kThreads = 3 * 128, kDepth = 64, kRowBytes = 2 * kDepth;
constexpr int kRingBytes = 192 << 10, kStagedColumns = 64, kStagedRows = 16;
constexpr int kStagedBytes = kStagedRows * kStagedColumns * 4;  // of one warp
constexpr int kSharedBytes = kRingBytes + 4 * kConsumers * kStagedBytes;
constexpr uint32_t kGroupOfRows = 8 * kRowBytes;

template <int N>
inline constexpr int kStageBytes = (kM + N) * kRowBytes;
template <int N>
inline constexpr int kStages = kRingBytes / kStageBytes<N>;

struct Params {
  TensorMap x, weight;
  ConvParams conv;
  int channel_blocks;  // of kDepth channels of x
  int channels;        // of x
};

// The ring's next stage, and how often it came round.
template <int N>
struct Turn {
  int stage = 0;
  uint32_t parity = 0;
  MTYOLO_DEV void advance() {
    if (++stage == kStages<N>) stage = 0, parity ^= 1;
  }
};

template <int N>
MTYOLO_DEV void copy_tile(const Params& p, char* ring, MBarrier* full, MBarrier* empty, const TilePlace& at,
                          Turn<N>& turn) {
  const ConvParams& c = p.conv;
  const int m = at.m * kM, image = int(divide(c.y_image, uint32_t(m)));
  const int rest = m - image * int(c.y_image.divisor), line = int(divide(c.y_line, uint32_t(rest)));
  const int y = line * c.stride - c.pad;
  const int x = (rest - line * int(c.y_line.divisor)) * c.stride - MTYOLO_MUTANT(195, c.pad, 0);
  for (int block = 0; block < p.channel_blocks; ++block)
    for (int r = 0; r < c.kernel; ++r)
      for (int s = 0; s < c.kernel; ++s) {
        MBarrier* arrived = full + turn.stage;
        MTYOLO_MUTANT(
            189, mbarrier_wait(empty + turn.stage, MTYOLO_MUTANT(182, turn.parity ^ 1, turn.parity)), void());
        mbarrier_arrive_expect_tx(arrived, MTYOLO_MUTANT(184, kStageBytes<N>, kM * kRowBytes));
        char* stage = ring + turn.stage * kStageBytes<N>;
        if (c.pointwise) tma_load(stage, p.x, arrived, {block * kDepth, m});
        else
          tma_load_im2col(stage, p.x, arrived, {block * kDepth, x, y, image}, MTYOLO_MUTANT(191, s, r),
                          MTYOLO_MUTANT(191, r, s));
        tma_load(stage + kM * kRowBytes, p.weight, arrived, {block * kDepth, r * c.kernel + s, at.n * N});
        turn.advance();
      }
}

// Straight code for each number of steps: with a branch between two products the compiler would order them.
template <class T, int N, int kSteps>
MTYOLO_DEV void multiply_stage(float (&sums)[N / 2], uint64_t x, uint64_t weight, bool accumulate) {
  MTYOLO_MUTANT(190, wgmma_fence(), void());
  MTYOLO_UNROLL
  for (int step = 0; step < kSteps; ++step)  // 32 bytes each
    wgmma<T, N>(sums, x + 2 * uint64_t(step), weight + 2 * uint64_t(step), accumulate || step > 0);
  wgmma_commit();
}

// sums = x weight^T of this warpgroup's 64 pixels, with one stage's products on their way while the next
// one's start.
template <class T, int N>
MTYOLO_DEV void multiply_tile(const Params& p, const char* ring, MBarrier* full, MBarrier* empty,
                              float (&sums)[N / 2], Turn<N>& turn) {
  const auto warpgroup = int(thread_index().x / kWarpgroup);
  const int taps = p.conv.kernel * p.conv.kernel;
  const auto release = [&](int stage) {
    if (lane_index() == 0) MTYOLO_MUTANT(183, mbarrier_arrive(empty + stage), void());
  };
  int before = -1;
  for (int block = 0; block < p.channel_blocks; ++block) {
    const int left = p.channels - block * kDepth, steps = (left + MTYOLO_MUTANT(194, 15, 0)) / 16;
    for (int tap = 0; tap < taps; ++tap) {
      MTYOLO_MUTANT(185, mbarrier_wait(full + turn.stage, MTYOLO_MUTANT(181, turn.parity, 0)), void());
      const char* stage = ring + turn.stage * kStageBytes<N>;
      const uint64_t a = wgmma_descriptor(stage + MTYOLO_MUTANT(192, warpgroup, 0) * 64 * kRowBytes,
                                          MTYOLO_MUTANT(186, Swizzle::k128, Swizzle::k64), kGroupOfRows);
      const uint64_t b = wgmma_descriptor(stage + kM * kRowBytes, Swizzle::k128, kGroupOfRows);
      if (steps >= 4) multiply_stage<T, N, 4>(sums, a, b, before >= 0);
      else if (steps == 3) multiply_stage<T, N, 3>(sums, a, b, before >= 0);
      else if (steps == 2) multiply_stage<T, N, 2>(sums, a, b, before >= 0);
      else multiply_stage<T, N, 1>(sums, a, b, before >= 0);
      MTYOLO_MUTANT(188, wgmma_wait<1>(sums), void());
      if (before >= 0) release(before);
      before = turn.stage;
      turn.advance();
    }
  }
  MTYOLO_MUTANT(187, wgmma_wait<0>(sums), wgmma_wait<1>(sums));
  release(before);
}

// Each warp brings its 16 pixels to y, 64 channels at a time.
template <class T, int N>
MTYOLO_DEV void store_sums(const ConvParams& p, float* staged, const float (&sums)[N / 2], int m, int n) {
  const int lane = int(lane_index());
  MTYOLO_UNROLL
  for (int part = 0; part < N / kStagedColumns; ++part) {
    MTYOLO_MUTANT(193, sync_warp(), void());  // the part before has been read
    MTYOLO_UNROLL
    for (int i = 0; i < kStagedColumns / 2; ++i)
      staged[staged_place<kStagedColumns>(lane / 4 + 8 * (i / 2 % 2), i / 4 * 8 + lane % 4 * 2 + i % 2)] =
          sums[part * (kStagedColumns / 2) + i];
    sync_warp();
    if (p.out == KernelType::kF32)
      store_rows<float, kStagedRows, kStagedColumns, kWarp>(p, staged, m, n + part * kStagedColumns);
    else store_rows<T, kStagedRows, kStagedColumns, kWarp>(p, staged, m, n + part * kStagedColumns);
  }
}

template <class T, int N>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 1) conv_hopper_kernel(MTYOLO_GRID_CONSTANT const Params p) {
  MTYOLO_DYNAMIC_SMEM(char, ring);
  MTYOLO_SMEM(MBarrier, full, [kStages<N>]);
  MTYOLO_SMEM(MBarrier, empty, [kStages<N>]);
  const auto thread = int(thread_index().x), warp = int(warp_index());
  if (thread == 0) {
    for (int i = 0; i < kStages<N>; ++i) mbarrier_init(full + i, 1), mbarrier_init(empty + i, 4 * kConsumers);
    MTYOLO_MUTANT(180, fence_barrier_init(), void());
  }
  sync();
  const int tiles = p.conv.m_tiles * p.conv.n_tiles;
  Turn<N> turn;
  if (thread >= kConsumers * int(kWarpgroup)) {
    fewer_registers<40>();
    if (thread != kConsumers * int(kWarpgroup)) return;
    prefetch_map(p.x), prefetch_map(p.weight);
    for (int tile = int(block_index().x); tile < tiles; tile += int(grid_size().x))
      copy_tile<N>(p, ring, full, empty, tile_place(p.conv, tile, 0), turn);
  } else {
    more_registers<232>();
    float* staged = reinterpret_cast<float*>(ring + kRingBytes + warp * kStagedBytes);
    for (int tile = int(block_index().x); tile < tiles; tile += int(grid_size().x)) {
      const TilePlace at = tile_place(p.conv, tile, 0);
      float sums[N / 2];
      multiply_tile<T, N>(p, ring, full, empty, sums, turn);
      store_sums<T, N>(p.conv, staged, sums, at.m * kM + warp * kStagedRows, at.n * N);
    }
  }
}

TensorMap map_of_x(const ConvArgs& args, const ConvParams& p) {
  if (!p.pointwise)
    return tensor_map(
        Im2colMap{args.x, -args.pad, args.pad - (args.kernel - 1), args.stride, kDepth, kM, Swizzle::k128});
  TiledMap map{args.x.data, args.x.type};
  map.dims[0] = args.x.c, map.dims[1] = args.x.pixels(), map.strides[1] = p.pixel_bytes;
  map.box[0] = kDepth, map.box[1] = kM, map.swizzle = Swizzle::k128;
  return tensor_map(map);
}

// [y.c][tap][x.c]; what lies behind x.c channels of a tap is zero, as it is of x.
TensorMap map_of_weight(const ConvArgs& args, const ConvParams& p) {
  TiledMap map{args.weight, args.x.type, 3};
  map.dims[0] = args.x.c, map.dims[1] = int64_t{args.kernel} * args.kernel, map.dims[2] = args.y.c;
  map.strides[1] = p.tap_bytes, map.strides[2] = p.weight_stride;
  map.box[0] = kDepth, map.box[2] = args.config.n, map.swizzle = Swizzle::k128;
  return tensor_map(map);
}

template <class T>
void conv_typed(KernelStream stream, int n, const LaunchDims& dims, const Params& p) {
  if (n == 64) launch(conv_hopper_kernel<T, 64>, dims, stream, p);
  else if (n == 128) launch(conv_hopper_kernel<T, 128>, dims, stream, p);
  else launch(conv_hopper_kernel<T, 256>, dims, stream, p);
}

}  // namespace

void conv_hopper(KernelStream stream, const ConvArgs& args, int multiprocessors) {
  const char* refusal = conv_hopper_refuses(args);
  check_argument(refusal == nullptr, refusal);
  check_argument(multiprocessors > 0, "conv_hopper: multiprocessors must be positive");
  const auto configs = conv_hopper_configs(args, multiprocessors);
  check_argument(std::find(configs.begin(), configs.end(), args.config) != configs.end(),
                 "conv_hopper: config is none of conv_hopper_configs()");
  ConvArgs common = args;
  common.config = {128, 128};  // for conv_params(), which checks its own kernels' tiles
  Params p{};
  p.conv = conv_params(common);
  p.conv.n_tiles = (args.y.c + args.config.n - 1) / args.config.n;
  p.channels = args.x.c, p.channel_blocks = (args.x.c + kDepth - 1) / kDepth;
  p.x = map_of_x(args, p.conv), p.weight = map_of_weight(args, p.conv);
  const int blocks = std::min(p.conv.m_tiles * p.conv.n_tiles, multiprocessors);
  const LaunchDims dims{{uint32_t(blocks)}, {kThreads}, kSharedBytes};
  if (args.math == KernelMath::kF16) conv_typed<half>(stream, args.config.n, dims, p);
  else conv_typed<bfloat16>(stream, args.config.n, dims, p);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

#include "cuda/gemm.h"

#include "cuda/check.h"
#include "cuda/device/block.cuh"
#include "cuda/device/tile.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/epilogue.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

// A block computes 64 x 64 of c. Tiles of a and b in shared memory are 64 rows of 64 bytes of k, four chunks
// of 16 bytes each, in a ring of `stages`.
constexpr int kThreads = 128, kTile = 64, kChunks = 4, kChunkBytes = 16;
constexpr int kTileBytes = kTile * kChunks * kChunkBytes;

// What the kernels get: GemmArgs with rows in bytes.
struct Params {
  int m, n, k_bytes;
  const char *a, *b;
  int64_t a_stride, b_stride;  // bytes
  void* c;
  int64_t c_stride;  // elements
  KernelEpilogue epilogue{};
};

MTYOLO_DEV int chunk_place(int row, int chunk) {
  return MTYOLO_MUTANT(3, swizzled<kChunks>(row, chunk), row * kChunks + chunk) * kChunkBytes;
}

// Starts the copies of one tile: rows first_row.. of a matrix of `rows` rows, from byte `k` on. What lies
// outside is zero.
MTYOLO_DEV void load_tile(char* tile, const char* matrix, int64_t stride, int rows, int first_row, int k,
                          int k_bytes) {
  MTYOLO_UNROLL
  for (int i = 0; i < kTile * kChunks / kThreads; ++i) {
    const int index = int(thread_index().x) + i * kThreads, row = index / kChunks, chunk = index % kChunks;
    const int from_row = first_row + row, from = k + chunk * kChunkBytes;
    const bool inside = MTYOLO_MUTANT(4, from_row < rows, from_row <= rows) &&
                        MTYOLO_MUTANT(5, from < k_bytes, from <= k_bytes);
    char* to = tile + MTYOLO_MUTANT(6, chunk_place(row, chunk), chunk_place(row ^ 2, chunk ^ 1));
    cp_async<16>(to, matrix + from_row * stride + from, inside);
  }
}

// Runs step(a_tile, b_tile) for all tiles of k, with stages - 1 tiles on their way.
template <int kStages, class Step>
MTYOLO_DEV void for_each_tile(const Params& p, char* ring, Step step) {
  const int first_m = int(block_index().x) * kTile, first_n = int(block_index().y) * kTile;
  const int tiles = (p.k_bytes + kChunks * kChunkBytes - 1) / (kChunks * kChunkBytes);
  const auto load = [&](int tile) {
    if (tile < tiles) {
      char* stage = ring + tile % kStages * 2 * kTileBytes;
      const int k = tile * kChunks * kChunkBytes;
      load_tile(stage, p.a, p.a_stride, p.m, first_m, k, p.k_bytes);
      load_tile(stage + kTileBytes, p.b, p.b_stride, p.n, first_n, k, p.k_bytes);
    }
    cp_async_commit();  // an empty group keeps the count right
  };
  for (int tile = 0; tile < kStages - 1; ++tile) load(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    MTYOLO_MUTANT(16, MTYOLO_MUTANT(7, cp_async_wait<kStages - 2>(), cp_async_wait<kStages - 1>()), void());
    MTYOLO_MUTANT(8, void(), load(tile + kStages - 1));
    MTYOLO_MUTANT(9, sync(), void());  // all threads have this tile, and are done with the one before
    MTYOLO_MUTANT(8, load(tile + kStages - 1), void());
    const char* stage = ring + MTYOLO_MUTANT(17, tile, tile + 1) % kStages * 2 * kTileBytes;
    step(stage, stage + kTileBytes);
  }
}

template <class Out>
MTYOLO_DEV void store(const Params& p, int m, int n, float value) {
  if (MTYOLO_MUTANT(10, m < p.m && n < p.n, m < p.m && n <= p.n))
    static_cast<Out*>(p.c)[m * p.c_stride + n] = from_float<Out>(finish(p.epilogue, n, value));
}

// Tensor cores. Four warps of 32 x 32. A step of 32 bytes of k is one mma, whatever the type: k16 of 16-bit
// elements, k8 of tf32, k32 of s8; ldmatrix deals in bytes too.
template <class T, class Out, int kStages>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 4) gemm_mma_kernel(Params p) {
  MTYOLO_DYNAMIC_SMEM(char, ring);
  constexpr int kDepth = 32 / int(sizeof(T));
  const int lane = int(lane_index()), warp = int(warp_index());
  const int warp_m = warp % 2 * 32, warp_n = warp / 2 * 32;
  MmaAcc<T> acc[2][4][4] = {};
  for_each_tile<kStages>(p, ring, [&](const char* a_tile, const char* b_tile) {
    MTYOLO_UNROLL
    for (int step = 0; step < kChunks / 2; ++step) {
      uint32_t a[2][4], b[4][2];
      MTYOLO_UNROLL
      for (int i = 0; i < 2; ++i)
        ldmatrix(a[i], a_tile + chunk_place(warp_m + 16 * i + lane % 16, 2 * step + lane / 16));
      MTYOLO_UNROLL
      for (int j = 0; j < 4; j += 2) {
        uint32_t pair[4];
        const int row = warp_n + 8 * j + lane % 8 + MTYOLO_MUTANT(11, 8 * (lane / 16), 8 * (1 - lane / 16));
        ldmatrix(pair, b_tile + chunk_place(row, 2 * step + lane / 8 % 2));
        b[j][0] = pair[0], b[j][1] = pair[1], b[j + 1][0] = pair[2], b[j + 1][1] = pair[3];
      }
      if constexpr (std::is_same_v<T, tf32>) {
        MTYOLO_UNROLL
        for (int i = 0; i < 8; ++i) {
          a[i / 4][i % 4] = to_tf32(as_float(a[i / 4][i % 4])).bits;
          b[i / 2][i % 2] = to_tf32(as_float(b[i / 2][i % 2])).bits;
        }
      }
      MTYOLO_UNROLL
      for (int i = 0; i < 2; ++i) MTYOLO_UNROLL
      for (int j = 0; j < 4; ++j) mma<T, kDepth>(acc[i][j], a[i], b[j]);
    }
  });
  const int first_m = int(block_index().x) * kTile + warp_m + lane / 4;
  const int first_n = int(block_index().y) * kTile + warp_n + 2 * (lane % 4);
  MTYOLO_UNROLL
  for (int i = 0; i < 2; ++i) MTYOLO_UNROLL
  for (int j = 0; j < 4; ++j) MTYOLO_UNROLL
  for (int e = 0; e < 4; ++e)
    store<Out>(p, first_m + 16 * i + 8 * MTYOLO_MUTANT(12, e / 2, e % 2),
               first_n + 8 * j + MTYOLO_MUTANT(12, e % 2, e / 2), float(acc[i][j][e]));
}

// f32 by fused multiply-add: each thread has rows ty + 8 i and columns tx + 16 j.
template <int kStages>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 3) gemm_f32_kernel(Params p) {
  MTYOLO_DYNAMIC_SMEM(char, ring);
  const int tx = int(thread_index().x) % 16, ty = int(thread_index().x) / 16;
  float acc[8][4] = {};
  for_each_tile<kStages>(p, ring, [&](const char* a_tile, const char* b_tile) {
    MTYOLO_UNROLL
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      Pack<float> b[4];
      MTYOLO_UNROLL
      for (int j = 0; j < 4; ++j)
        b[j] = ld128(reinterpret_cast<const float*>(b_tile + chunk_place(tx + 16 * j, chunk)));
      MTYOLO_UNROLL
      for (int i = 0; i < 8; ++i) {
        const auto a = ld128(reinterpret_cast<const float*>(a_tile + chunk_place(ty + 8 * i, chunk)));
        MTYOLO_UNROLL
        for (int j = 0; j < 4; ++j) MTYOLO_UNROLL
        for (int e = 0; e < 4; ++e) acc[i][j] += a.values[e] * b[j].values[e];
      }
    }
  });
  MTYOLO_UNROLL
  for (int i = 0; i < 8; ++i) MTYOLO_UNROLL
  for (int j = 0; j < 4; ++j)
    store<float>(p, int(block_index().x) * kTile + ty + 8 * i, int(block_index().y) * kTile + tx + 16 * j,
                 acc[i][j]);
}

template <int kStages>
void gemm_stages(KernelStream stream, KernelMath math, const Params& p) {
  const LaunchDims dims{{uint32_t(p.m + kTile - 1) / kTile, uint32_t(p.n + kTile - 1) / kTile},
                        {kThreads},
                        size_t(kStages) * 2 * kTileBytes};
  switch (math) {
    case KernelMath::kF32:
      return launch(gemm_f32_kernel<kStages>, dims, stream, p);
    case KernelMath::kTF32:
      return launch(gemm_mma_kernel<tf32, float, kStages>, dims, stream, p);
    case KernelMath::kF16:
      return launch(gemm_mma_kernel<half, half, kStages>, dims, stream, p);
    case KernelMath::kBF16:
      return launch(gemm_mma_kernel<bfloat16, bfloat16, kStages>, dims, stream, p);
    case KernelMath::kS8:
      return launch(gemm_mma_kernel<int8_t, float, kStages>, dims, stream, p);
  }
}

}  // namespace

void gemm(KernelStream stream, const GemmArgs& args) {
  const int in = args.math == KernelMath::kS8                                      ? 1
                 : args.math == KernelMath::kF16 || args.math == KernelMath::kBF16 ? 2
                                                                                   : 4;
  const int out = in == 2 ? 2 : 4;
  check_argument(args.m > 0 && args.n > 0 && args.k > 0, "gemm: m, n and k must be positive");
  check_argument((args.k * in) % 16 == 0 && (args.a_stride * in) % 16 == 0 && (args.b_stride * in) % 16 == 0,
                 "gemm: k and the strides of a and b must be multiples of 16 bytes");
  check_argument(args.a_stride >= args.k && args.b_stride >= args.k && args.c_offset >= 0 &&
                     args.c_stride >= args.c_offset + args.n,
                 "gemm: a stride is shorter than its row");
  check_argument(args.stages == 2 || args.stages == 3, "gemm: stages must be 2 or 3");
  const Params p{args.m,
                 args.n,
                 args.k * in,
                 static_cast<const char*>(args.a),
                 static_cast<const char*>(args.b),
                 int64_t{args.a_stride} * in,
                 int64_t{args.b_stride} * in,
                 static_cast<char*>(args.c) + int64_t{MTYOLO_MUTANT(13, args.c_offset, 0)} * out,
                 args.c_stride,
                 args.epilogue};
  if (args.stages == 2) gemm_stages<2>(stream, args.math, p);
  else gemm_stages<3>(stream, args.math, p);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

#include "cuda/conv_mma.h"

#include "cuda/check.h"
#include "cuda/conv.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

// A block's tile, in warps of kWarpM x kWarpN. A step of 32 bytes of depth is one mma, whatever the type: k16
// of 16-bit elements, k8 of tf32, k32 of s8; ldmatrix deals in bytes too.
template <class T, int kTileM, int kTileN, int kWarpM, int kWarpN>
struct MmaTile {
  using Element = T;
  static constexpr int kM = kTileM, kN = kTileN, kWarpsM = kM / kWarpM;
  static constexpr int kThreads = kWarpsM * (kN / kWarpN) * int(kWarp);
  static constexpr int kRows = kWarpM / 16, kColumns = kWarpN / 8;

  MmaAcc<T> sums[kRows][kColumns][4] = {};
  int warp_m = int(warp_index()) % kWarpsM * kWarpM, warp_n = int(warp_index()) / kWarpsM * kWarpN;

  MTYOLO_DEV void step(const char* x_tile, const char* weight_tile) {
    const int lane = int(lane_index());
    MTYOLO_UNROLL
    for (int k = 0; k < kConvChunks / 2; ++k) {
      uint32_t a[kRows][4], b[kColumns][2];
      MTYOLO_UNROLL
      for (int i = 0; i < kRows; ++i)
        ldmatrix(a[i], x_tile + chunk_place(warp_m + 16 * i + lane % 16, 2 * k + lane / 16));
      MTYOLO_UNROLL
      for (int j = 0; j < kColumns; j += 2) {
        uint32_t pair[4];
        const int row = warp_n + 8 * j + lane % 8 + 8 * (lane / 16);
        ldmatrix(pair, weight_tile + chunk_place(row, 2 * k + lane / 8 % 2));
        b[j][0] = pair[0], b[j][1] = pair[1], b[j + 1][0] = pair[2], b[j + 1][1] = pair[3];
      }
      if constexpr (std::is_same_v<T, tf32>) {
        MTYOLO_UNROLL
        for (int i = 0; i < 4 * kRows; ++i) a[i / 4][i % 4] = to_tf32(as_float(a[i / 4][i % 4])).bits;
        MTYOLO_UNROLL
        for (int j = 0; j < 2 * kColumns; ++j) b[j / 2][j % 2] = to_tf32(as_float(b[j / 2][j % 2])).bits;
      }
      MTYOLO_UNROLL
      for (int i = 0; i < kRows; ++i) MTYOLO_UNROLL
      for (int j = 0; j < kColumns; ++j) mma<T, 32 / int(sizeof(T))>(sums[i][j], a[i], b[j]);
    }
  }

  MTYOLO_DEV void stage(float* staged) const {
    struct alignas(8) Pair {
      float x, y;
    };
    const int row = warp_m + int(lane_index()) / 4, column = warp_n + 2 * (int(lane_index()) % 4);
    MTYOLO_UNROLL
    for (int i = 0; i < kRows; ++i) MTYOLO_UNROLL
    for (int j = 0; j < kColumns; ++j) MTYOLO_UNROLL
    for (int h = 0; h < 2; ++h) {
      const MmaAcc<T>(&sum)[4] = sums[i][j];
      float* to =
          staged + staged_place<kN>(row + 16 * i + MTYOLO_MUTANT(113, 8 * h, 8 - 8 * h), column + 8 * j);
      *reinterpret_cast<Pair*>(to) = {float(sum[2 * h]), float(sum[2 * h + 1])};
    }
  }
};

template <class Tile, int kPiece>
MTYOLO_KERNEL MTYOLO_BOUNDS(Tile::kThreads, 512 / Tile::kThreads) conv_mma_kernel(ConvParams p) {
  conv_tile<Tile, kPiece>(p);
}

template <class T, int kM, int kN, int kWarpM, int kWarpN, int kPiece = 16>
bool launch_if(KernelStream stream, const ConvArgs& args, const ConvParams& p) {
  if (args.config.m != kM || args.config.n != kN) return false;
  using Tile = MmaTile<T, kM, kN, kWarpM, kWarpN>;
  launch(conv_mma_kernel<Tile, kPiece>,
         {{uint32_t(p.m_tiles * p.n_tiles), uint32_t(p.splits)},
          {Tile::kThreads},
          conv_shared_bytes({kM, kN}, p.stages)},
         stream, p);
  return true;
}

// The tiles of conv_tiles(), by type.
template <class T>
bool launch_tile(KernelStream stream, const ConvArgs& args, const ConvParams& p) {
  if constexpr (!std::is_same_v<T, tf32>) {
    constexpr int kPiece = 4 * int(sizeof(T));
    if (conv_is_stem(args))
      return launch_if<T, 256, 32, 32, 32, kPiece>(stream, args, p) ||
             launch_if<T, 64, 64, 32, 32, kPiece>(stream, args, p);
    if (launch_if<T, 64, 128, 64, 32>(stream, args, p) || launch_if<T, 256, 64, 64, 32>(stream, args, p) ||
        launch_if<T, 32, 128, 32, 32>(stream, args, p))
      return true;
  }
  return launch_if<T, 128, 128, 64, 32>(stream, args, p) || launch_if<T, 128, 64, 64, 32>(stream, args, p) ||
         launch_if<T, 64, 64, 32, 32>(stream, args, p) || launch_if<T, 256, 32, 32, 32>(stream, args, p);
}

}  // namespace

void conv_mma(KernelStream stream, const ConvArgs& args, const ConvParams& p) {
  const bool launched = args.math == KernelMath::kTF32   ? launch_tile<tf32>(stream, args, p)
                        : args.math == KernelMath::kF16  ? launch_tile<half>(stream, args, p)
                        : args.math == KernelMath::kBF16 ? launch_tile<bfloat16>(stream, args, p)
                                                         : launch_tile<int8_t>(stream, args, p);
  check_argument(launched, "conv: no kernel was compiled for the tile in config");
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

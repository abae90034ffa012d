#include "cuda/conv.h"

#include "cuda/check.h"
#include "cuda/conv.cuh"
#include "cuda/conv_mma.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

// f32 by fused multiply-add. Each thread has rows ty + i * kStep and columns tx + 16 j.
template <int kTile>
struct FmaTile {
  using Element = float;
  static constexpr int kM = kTile, kN = kTile, kThreads = 2 * kTile;
  static constexpr int kStep = kThreads / 16, kRows = kM / kStep, kColumns = kN / 16;

  float sums[kRows][kColumns] = {};
  int tx = int(thread_index().x) % 16, ty = int(thread_index().x) / 16;

  MTYOLO_DEV void step(const char* x_tile, const char* weight_tile) {
    MTYOLO_UNROLL
    for (int chunk = 0; chunk < kConvChunks; ++chunk) {
      Pack<float> b[kColumns];
      MTYOLO_UNROLL
      for (int j = 0; j < kColumns; ++j)
        b[j] = ld128(reinterpret_cast<const float*>(weight_tile + chunk_place(tx + 16 * j, chunk)));
      MTYOLO_UNROLL
      for (int i = 0; i < kRows; ++i) {
        const auto a = ld128(reinterpret_cast<const float*>(x_tile + chunk_place(ty + kStep * i, chunk)));
        MTYOLO_UNROLL
        for (int j = 0; j < kColumns; ++j) MTYOLO_UNROLL
        for (int e = 0; e < 4; ++e) sums[i][j] += a.values[e] * b[j].values[e];
      }
    }
  }

  MTYOLO_DEV void stage(float* staged) const {
    MTYOLO_UNROLL
    for (int i = 0; i < kRows; ++i) MTYOLO_UNROLL
    for (int j = 0; j < kColumns; ++j) staged[staged_place<kN>(ty + kStep * i, tx + 16 * j)] = sums[i][j];
  }
};

template <int kTile>
MTYOLO_KERNEL MTYOLO_BOUNDS(2 * kTile, kTile == 64 ? 3 : 1) conv_f32_kernel(ConvParams p) {
  conv_tile<FmaTile<kTile>, 16>(p);
}

void conv_f32(KernelStream stream, const ConvArgs& args, const ConvParams& p) {
  check_argument(args.config.m == args.config.n && (args.config.m == 64 || args.config.m == 128),
                 "conv: no kernel was compiled for the tile in config");
  launch(args.config.m == 64 ? conv_f32_kernel<64> : conv_f32_kernel<128>,
         {{uint32_t(p.m_tiles * p.n_tiles), uint32_t(p.splits)},
          {uint32_t(2 * args.config.m)},
          conv_shared_bytes({args.config.m, args.config.n}, p.stages)},
         stream, p);
}

// Convolutions of several groups have few products a pixel: each is read from memory.
constexpr int kDirectTile = 64, kDirectThreads = 128;

template <class T>
MTYOLO_DEV MmaAcc<T> times(T a, T b) {
  if constexpr (std::is_same_v<T, int8_t>) return int32_t{a} * b;
  else return to_float(a) * to_float(b);
}

// The sum of channel n of pixel m.
template <class T>
MTYOLO_DEV float sum_of(const ConvParams& p, int m, int n) {
  const int image = int(divide(p.y_image, uint32_t(m))), rest = m - image * int(p.y_image.divisor);
  const int line = int(divide(p.y_line, uint32_t(rest))), column = rest - line * int(p.y_line.divisor);
  const T* weight = reinterpret_cast<const T*>(p.weight + n * p.weight_stride);
  const int first = MTYOLO_MUTANT(116, n / p.group_out, n % p.group_out) * p.group_in;
  MmaAcc<T> sum = 0;
  for (int r = 0; r < p.kernel; ++r)
    for (int s = 0; s < p.kernel; ++s) {
      const int y = line * p.stride - p.pad + r, x = column * p.stride - p.pad + s;
      if (y < 0 || y >= p.h || x < 0 || x >= p.w) continue;
      const T* pixel = reinterpret_cast<const T*>(p.x + image * p.image_bytes + int64_t{y} * p.line_bytes +
                                                  int64_t{x} * p.pixel_bytes) +
                       first;
      const T* tap = weight + (r * p.kernel + s) * p.group_in;
      for (int c = 0; c < p.group_in; ++c) sum += times(pixel[c], tap[c]);
    }
  return float(sum);
}

// Neighbouring threads have neighbouring channels.
template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kDirectThreads, 4) conv_direct_kernel(ConvParams p) {
  MTYOLO_DYNAMIC_SMEM(float, staged);
  const TilePlace at = tile_place(p, int(block_index().x), 0);
  const int column = int(thread_index().x) % kDirectTile, n = at.n * kDirectTile + column;
  for (int row = int(thread_index().x) / kDirectTile; row < kDirectTile;
       row += kDirectThreads / kDirectTile) {
    const int m = at.m * kDirectTile + row;
    staged[staged_place<kDirectTile>(row, column)] = m < p.pixels && n < p.channels ? sum_of<T>(p, m, n) : 0;
  }
  sync();
  store_staged<T, kDirectTile, kDirectTile, kDirectThreads>(p, staged, at);
}

void conv_direct(KernelStream stream, const ConvArgs& args, const ConvParams& p) {
  const LaunchDims dims{
      {uint32_t(p.m_tiles * p.n_tiles)}, {kDirectThreads}, kDirectTile * kDirectTile * sizeof(float)};
  check_argument(args.config.m == kDirectTile && args.config.n == kDirectTile && args.config.splits == 1,
                 "conv: groups are computed in tiles of 64 x 64, not split");
  switch (args.math) {
    case KernelMath::kF32:
    case KernelMath::kTF32:  // rounds no operand: nearer to the sum than tf32 has to be
      return launch(conv_direct_kernel<float>, dims, stream, p);
    case KernelMath::kF16:
      return launch(conv_direct_kernel<half>, dims, stream, p);
    case KernelMath::kBF16:
      return launch(conv_direct_kernel<bfloat16>, dims, stream, p);
    case KernelMath::kS8:
      return launch(conv_direct_kernel<int8_t>, dims, stream, p);
  }
}

}  // namespace

void conv(KernelStream stream, const ConvArgs& args) {
  const ConvParams p = conv_params(args);
  if (args.groups > 1) conv_direct(stream, args, p);
  else if (args.math == KernelMath::kF32) conv_f32(stream, args, p);
  else conv_mma(stream, args, p);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

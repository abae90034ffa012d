#include "cuda/conv_grad.h"

#include "cuda/bias_grad.cuh"
#include "cuda/check.h"
#include "cuda/conv_dgrad.cuh"
#include "cuda/conv_grad_groups.cuh"
#include "cuda/conv_wgrad.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace grad {
namespace {

uint32_t blocks(int64_t count, int size) { return uint32_t((count + size - 1) / size); }

// run(Tile{}) for the tile that a configuration names.
template <class T, bool kRowsA, class Run>
void with_tile(const ConvConfig& c, Run run) {
  if constexpr (!std::is_same_v<T, float>) {
    if (c.m == 128 && c.n == 128) return run(Tile<T, 128, 128, kRowsA>{});
    if (c.m == 128 && c.n == 64) return run(Tile<T, 128, 64, kRowsA>{});
  }
  check_argument(c.m == 64 && c.n == 64, "gradient of a convolution: no kernel has blocks of this size");
  run(Tile<T, 64, 64, kRowsA>{});
}

template <bool kRowsA, class Run>
void with_tile_of(KernelMath math, const ConvConfig& c, Run run) {
  check_argument(c.stages == kStages && c.splits >= 1 && c.splits <= 65535,
                 "gradient of a convolution: stages must be 4, splits 1 to 65535");
  if (math == KernelMath::kF32) return with_tile<float, kRowsA>(c, run);
  if (math == KernelMath::kTF32) return with_tile<tf32, kRowsA>(c, run);
  if (math == KernelMath::kF16) return with_tile<half, kRowsA>(c, run);
  with_tile<bfloat16, kRowsA>(c, run);
}

DgradClass dgrad_class(const ConvDgradArgs& args, int y, int x) {
  const int s = args.stride;
  DgradClass c;
  c.y = y, c.x = x;
  c.h = (args.gx.h - y + s - 1) / s, c.w = (args.gx.w - x + s - 1) / s;
  c.first_r = MTYOLO_MUTANT(120, y + args.pad, y + args.pad + 1) % s, c.first_s = (x + args.pad) % s;
  c.taps_r = args.kernel > c.first_r ? (args.kernel - c.first_r + s - 1) / s : 0;
  c.taps_s = args.kernel > c.first_s ? (args.kernel - c.first_s + s - 1) / s : 0;
  c.base_y = (y + args.pad - c.first_r) / s, c.base_x = (x + args.pad - c.first_s) / s;
  return c;
}

void run_reduce(KernelStream stream, const ConvWgradArgs& args) {
  const int64_t packs = int64_t{args.gy.c} * partial_stride(args) / 4;
  launch(reduce_parts_kernel, {{blocks(packs, kReduceThreads)}, {kReduceThreads}}, stream, args);
}

void dgrad_of_groups(KernelStream stream, const ConvDgradArgs& a) {
  check_argument(a.config == ConvConfig{64, 64, kStages, 1}, "conv_dgrad: groups have one configuration");
  for_float(a.gx.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    const GroupDgrad<T> f{slice<T>(a.gy),  slice<T>(a.gx),    static_cast<const T*>(a.weight),
                          a.weight_stride, a.kernel,          a.stride,
                          a.pad,           a.gx.c / a.groups, a.gy.c / a.groups,
                          a.accumulate};
    for_each_pack<1>(stream, true, a.gx, f);
  });
}

// Lines of gy are cut into parts. args.x.c: of a group.
void wgrad_of_groups(KernelStream stream, const ConvWgradArgs& args) {
  check_argument(args.config == ConvConfig{64, 64, kStages, args.config.splits} && args.config.splits >= 1 &&
                     args.config.splits <= 65535,
                 "conv_wgrad: groups have blocks of 64 x 64 and 4 stages, splits 1 to 65535");
  const int part = int(blocks(int64_t{args.gy.n} * args.gy.h, args.config.splits));
  const LaunchDims dims{{blocks(args.gy.c, int(kWarp)) * uint32_t(args.kernel * args.kernel * args.x.c),
                         uint32_t(args.config.splits)},
                        {kGroupLines * kWarp}};
  for_float(args.gy.type, [&](auto of) {
    launch(group_wgrad_kernel<typename decltype(of)::Type>, dims, stream, args, part);
  });
}

}  // namespace
}  // namespace grad

void conv_dgrad(KernelStream stream, const ConvDgradArgs& args) {
  const char* refusal = conv_dgrad_refuses(args);
  check_argument(refusal == nullptr, refusal);
  check_argument(args.config.splits == 1, "conv_dgrad: the depth is not split");
  if (args.groups > 1) return grad::dgrad_of_groups(stream, args);
  grad::with_tile_of<true>(args.math, args.config, [&](auto tile) {
    using Tile = decltype(tile);
    grad::DgradClasses classes;
    uint32_t tiles = 0;
    // Those with the most taps first: with pad = kernel / 2 they are the pixels at odd places.
    for (int i = args.stride * args.stride - 1; i >= 0; --i) {
      grad::DgradClass c = grad::dgrad_class(args, i / args.stride, i % args.stride);
      const int64_t pixels = int64_t{args.gx.n} * c.h * c.w;
      if (pixels == 0 || (args.accumulate && c.taps_r * c.taps_s == 0)) continue;
      c.first_tile = int(tiles);
      tiles += grad::blocks(pixels, Tile::kM);
      classes.of[classes.count++] = c;
    }
    if (tiles != 0)
      launch(grad::conv_dgrad_kernel<Tile>,
             {{tiles, grad::blocks(args.gx.c, Tile::kN)}, {Tile::kThreads}, Tile::kSharedBytes}, stream, args,
             classes);
  });
}

void conv_wgrad(KernelStream stream, const ConvWgradArgs& args) {
  const char* refusal = conv_wgrad_refuses(args);
  check_argument(refusal == nullptr, refusal);
  check_argument(args.workspace_bytes >= conv_wgrad_workspace(args),
                 "conv_wgrad: the workspace is too small");
  ConvWgradArgs of_group = args;
  of_group.x.c /= args.groups;
  if (args.groups > 1) {
    grad::wgrad_of_groups(stream, of_group);
    return grad::run_reduce(stream, of_group);
  }
  check_argument(args.x.c != 4 || args.config.m == 64, "conv_wgrad: 4 channels have blocks of 64 x 64 only");
  grad::with_tile_of<false>(args.math, args.config, [&](auto tile) {
    using Tile = decltype(tile);
    const int columns = args.kernel * args.kernel * args.x.c;
    const int part =
        int(grad::blocks(grad::blocks(args.gy.pixels(), Tile::kDepth), args.config.splits)) * Tile::kDepth;
    const LaunchDims dims{
        {grad::blocks(columns, Tile::kN), grad::blocks(args.gy.c, Tile::kM), uint32_t(args.config.splits)},
        {Tile::kThreads},
        Tile::kSharedBytes};
    if constexpr (Tile::kElements == 8 && Tile::kM == 64)
      if (args.x.c == 4) return launch(grad::conv_wgrad_kernel<Tile, 2>, dims, stream, args, part);
    launch(grad::conv_wgrad_kernel<Tile, 1>, dims, stream, args, part);
  });
  grad::run_reduce(stream, args);
}

void bias_grad(KernelStream stream, const BiasGradArgs& args) {
  const char* refusal = bias_grad_refuses(args);
  check_argument(refusal == nullptr, refusal);
  check_argument(args.workspace != nullptr && args.workspace_bytes >= bias_grad_workspace(args),
                 "bias_grad: the workspace is missing or too small");
  // The sums lie as those of a gradient of weights of one channel of gy would.
  ConvWgradArgs sums;
  sums.gy.c = 1, sums.x.c = args.gy.c, sums.gw = args.gb, sums.workspace = args.workspace;
  sums.accumulate = args.accumulate, sums.non_finite = args.non_finite;
  sums.config.splits = bias_grad_splits(args);
  const KernelType type = args.gy.type;
  const int part = int(grad::blocks(args.gy.pixels(), sums.config.splits)),
            stride = grad::partial_stride(sums);
  const LaunchDims dims{{grad::blocks(args.gy.c, 128 / bytes_of(type)), uint32_t(sums.config.splits)},
                        {grad::kBiasThreads}};
  if (type == KernelType::kF32) launch(grad::bias_grad_kernel<float>, dims, stream, args, part, stride);
  else if (type == KernelType::kF16) launch(grad::bias_grad_kernel<half>, dims, stream, args, part, stride);
  else launch(grad::bias_grad_kernel<bfloat16>, dims, stream, args, part, stride);
  grad::run_reduce(stream, sums);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

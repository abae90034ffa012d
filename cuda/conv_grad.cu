#include "cuda/conv_grad.h"

#include "cuda/check.h"
#include "cuda/conv_dgrad.cuh"
#include "cuda/conv_wgrad.cuh"
#include "cuda/grad_reduce.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace grad {
namespace {

int blocks(int64_t count, int size) { return int((count + size - 1) / size); }

void check_accepted(const char* refusal) { check_argument(refusal == nullptr, refusal); }

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

DgradParams dgrad_params(const ConvDgradArgs& args) {
  const KernelMap &gy = args.gy, &gx = args.gx;
  const int size = bytes_of(gx.type);
  DgradParams p{};
  p.gy = static_cast<const char*>(gy.data), p.weight = static_cast<const char*>(args.weight), p.gx = gx.data;
  p.gy_stride = int64_t{gy.pixel_stride} * size, p.weight_stride = int64_t{args.weight_stride} * size;
  p.tap_stride = int64_t{gx.c} * size, p.gx_stride = gx.pixel_stride;
  p.images = gx.n, p.gy_h = gy.h, p.gy_w = gy.w, p.k = gy.c;
  p.gx_h = gx.h, p.gx_w = gx.w, p.c = gx.c;
  p.kernel = args.kernel, p.stride = args.stride, p.accumulate = args.accumulate;
  return p;
}

template <class Tile>
void run_dgrad(KernelStream stream, const ConvDgradArgs& args) {
  DgradParams p = dgrad_params(args);
  int tiles = 0;
  // Those with the most taps first: with pad = kernel / 2 they are the pixels at odd places.
  for (int i = args.stride * args.stride - 1; i >= 0; --i) {
    DgradClass c = dgrad_class(args, i / args.stride, i % args.stride);
    const int64_t pixels = int64_t{p.images} * c.h * c.w;
    if (pixels == 0 || (p.accumulate && c.taps_r * c.taps_s == 0)) continue;
    c.first_tile = tiles;
    tiles += blocks(pixels, Tile::kM);
    p.of[p.classes++] = c;
  }
  launch(conv_dgrad_kernel<Tile>,
         {{uint32_t(tiles), uint32_t(blocks(p.c, Tile::kN))}, {Tile::kThreads}, Tile::kSharedBytes}, stream,
         p);
}

template <class Tile, int kPieces>
void run_wgrad(KernelStream stream, const ConvWgradArgs& args) {
  const KernelMap &gy = args.gy, &x = args.x;
  const int size = bytes_of(x.type), splits = args.config.splits;
  WgradParams p{};
  p.gy = static_cast<const char*>(gy.data), p.x = static_cast<const char*>(x.data);
  p.partial = static_cast<float*>(args.workspace);
  p.gy_stride = int64_t{gy.pixel_stride} * size, p.x_stride = int64_t{x.pixel_stride} * size;
  p.pixels = int(gy.pixels());
  p.part = blocks(blocks(p.pixels, Tile::kDepth), splits) * Tile::kDepth;
  p.k = gy.c, p.columns = args.kernel * args.kernel * x.c, p.partial_stride = blocks(p.columns, 8) * 8;
  p.gy_h = gy.h, p.gy_w = gy.w, p.x_h = x.h, p.x_w = x.w, p.c = x.c;
  p.kernel = args.kernel, p.stride = args.stride, p.pad = args.pad;
  p.next_n = Tile::kDepth / (gy.h * gy.w), p.next_y = Tile::kDepth % (gy.h * gy.w) / gy.w;
  p.next_x = Tile::kDepth % gy.w;
  launch(conv_wgrad_kernel<Tile, kPieces>,
         {{uint32_t(blocks(p.columns, Tile::kN)), uint32_t(blocks(p.k, Tile::kM)), uint32_t(splits)},
          {Tile::kThreads},
          Tile::kSharedBytes},
         stream, p);
}

void run_reduce(KernelStream stream, const ReduceParams& p) {
  const int64_t packs = int64_t{p.k} * p.partial_stride / 4;
  launch(reduce_parts_kernel, {{uint32_t(blocks(packs, kReduceThreads))}, {kReduceThreads}}, stream, p);
}

template <class T>
void dgrad_of(KernelStream stream, const ConvDgradArgs& args) {
  if constexpr (!std::is_same_v<T, float>) {
    if (args.config.n == 128) return run_dgrad<Tile<T, 128, 128, true>>(stream, args);
    if (args.config.m == 128) return run_dgrad<Tile<T, 128, 64, true>>(stream, args);
  }
  run_dgrad<Tile<T, 64, 64, true>>(stream, args);
}

template <class T>
void wgrad_of(KernelStream stream, const ConvWgradArgs& args) {
  if constexpr (!std::is_same_v<T, float>) {
    if (args.config.n == 128) return run_wgrad<Tile<T, 128, 128, false>, 1>(stream, args);
    if (args.config.m == 128) return run_wgrad<Tile<T, 128, 64, false>, 1>(stream, args);
  }
  if constexpr (sizeof(T) == 2)
    if (args.x.c == 4) return run_wgrad<Tile<T, 64, 64, false>, 2>(stream, args);
  run_wgrad<Tile<T, 64, 64, false>, 1>(stream, args);
}

// Whether kernels have blocks of this size.
void check_config(const ConvConfig& c, KernelMath math, bool narrow) {
  const bool square = c.m == 64 && c.n == 64, large = c.m == 128 && (c.n == 64 || c.n == 128);
  check_argument(c.stages == kStages && c.splits >= 1 && c.splits <= 65535 &&
                     (square || (large && math != KernelMath::kF32 && !narrow)),
                 "gradient of a convolution: no kernel has this configuration");
}

}  // namespace
}  // namespace grad

void conv_dgrad(KernelStream stream, const ConvDgradArgs& args) {
  grad::check_accepted(conv_dgrad_refuses(args));
  grad::check_config(args.config, args.math, false);
  check_argument(args.config.splits == 1, "conv_dgrad: the depth is not split");
  switch (args.math) {
    case KernelMath::kF32:
      return grad::dgrad_of<float>(stream, args);
    case KernelMath::kTF32:
      return grad::dgrad_of<tf32>(stream, args);
    case KernelMath::kF16:
      return grad::dgrad_of<half>(stream, args);
    default:
      return grad::dgrad_of<bfloat16>(stream, args);
  }
}

void conv_wgrad(KernelStream stream, const ConvWgradArgs& args) {
  grad::check_accepted(conv_wgrad_refuses(args));
  grad::check_config(args.config, args.math, args.x.c == 4);
  check_argument(args.workspace_bytes >= conv_wgrad_workspace(args),
                 "conv_wgrad: the workspace is too small");
  switch (args.math) {
    case KernelMath::kF32:
      grad::wgrad_of<float>(stream, args);
      break;
    case KernelMath::kTF32:
      grad::wgrad_of<tf32>(stream, args);
      break;
    case KernelMath::kF16:
      grad::wgrad_of<half>(stream, args);
      break;
    default:
      grad::wgrad_of<bfloat16>(stream, args);
  }
  grad::ReduceParams p{};
  p.partial = static_cast<const float*>(args.workspace), p.splits = args.config.splits, p.k = args.gy.c;
  p.taps = args.kernel * args.kernel, p.c = args.x.c, p.partial_stride = grad::blocks(p.taps * p.c, 8) * 8;
  p.channels = args.channels == 0 ? p.c : args.channels;
  p.to = args.gw, p.stride_k = args.stride_k, p.stride_tap = args.stride_tap, p.stride_c = args.stride_c;
  p.accumulate = args.accumulate, p.non_finite = args.non_finite;
  grad::run_reduce(stream, p);
}

void bias_grad(KernelStream stream, const BiasGradArgs& args) {
  grad::check_accepted(bias_grad_refuses(args));
  check_argument(args.workspace_bytes >= bias_grad_workspace(args), "bias_grad: the workspace is too small");
  const KernelMap& gy = args.gy;
  const int splits = bias_grad_splits(args), width = 128 / bytes_of(gy.type),
            stride = grad::blocks(gy.c, 8) * 8;
  const grad::BiasParams p{gy.data,
                           static_cast<float*>(args.workspace),
                           gy.pixel_stride,
                           int(gy.pixels()),
                           grad::blocks(gy.pixels(), splits),
                           gy.c,
                           stride};
  const LaunchDims dims{{uint32_t(grad::blocks(gy.c, width)), uint32_t(splits)}, {grad::kBiasThreads}};
  if (gy.type == KernelType::kF32) launch(grad::bias_grad_kernel<float>, dims, stream, p);
  else if (gy.type == KernelType::kF16) launch(grad::bias_grad_kernel<half>, dims, stream, p);
  else launch(grad::bias_grad_kernel<bfloat16>, dims, stream, p);
  grad::run_reduce(stream, {.partial = p.partial,
                            .splits = splits,
                            .k = 1,
                            .partial_stride = stride,
                            .c = stride,
                            .taps = 1,
                            .channels = gy.c,
                            .to = args.gb,
                            .stride_k = 0,
                            .stride_tap = 0,
                            .stride_c = 1,
                            .accumulate = args.accumulate,
                            .non_finite = args.non_finite});
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS

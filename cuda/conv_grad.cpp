#include "cuda/conv_grad.h"

#include <algorithm>

namespace mtyolo {
namespace {

constexpr int kStages = 4, kMaxSplits = 512;
constexpr int64_t kMaxPixels = int64_t{1} << 30;

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }
bool whole_chunks(int64_t elements, KernelType type) { return elements * bytes_of(type) % 16 == 0; }
int64_t blocks(int64_t count, int size) { return (count + size - 1) / size; }

const char* map_refuses(const KernelMap& map) {
  const int chunk = 16 / bytes_of(map.type);
  if (!map || map.n < 1 || map.h < 1 || map.w < 1 || map.c < 1) return "a map is missing or empty";
  if (map.pixels() > kMaxPixels) return "a map has more than 2^30 pixels";
  const int64_t used = map.c > chunk ? blocks(map.c, chunk) * chunk : map.c;
  if (!aligned(map.data) || map.pixel_stride < used)
    return "pixels are not aligned to 16 bytes, or shorter than their channels rounded up to that";
  return nullptr;
}

const char* shapes_refuse(KernelMath math, const KernelMap& gy, const KernelMap& x, int kernel, int stride,
                          int pad, int groups) {
  if (math == KernelMath::kS8) return "gradients are not computed in s8";
  if (gy.type != type_of(math) || x.type != type_of(math)) return "a map is not of the math's type";
  if (const char* why = map_refuses(gy)) return why;
  if (const char* why = map_refuses(x)) return why;
  if (groups < 1 || gy.c % groups != 0 || x.c % groups != 0) return "channels are no multiples of the groups";
  if (groups > 1 && x.pixels() * x.c >= int64_t{1} << 31) return "a map in groups has 2^31 values or more";
  if (!whole_chunks(gy.pixel_stride, gy.type)) return "gy's pixels are not multiples of 16 bytes apart";
  if (kernel < 1 || pad < 0 || stride < 1 || stride > 2) return "kernel, stride (1 or 2) or pad out of range";
  const auto fits = [&](int in, int out) {
    return in + 2 * pad >= kernel && out == (in + 2 * pad - kernel) / stride + 1;
  };
  if (gy.n != x.n || !fits(x.h, gy.h) || !fits(x.w, gy.w))
    return "the maps' shapes do not fit the convolution";
  return nullptr;
}

// The block sizes of a math for a product of m x n, first the largest of which every multiprocessor gets one.
std::vector<ConvConfig> block_sizes(KernelMath math, int64_t m, int64_t n, int64_t times, int multiprocessors,
                                    size_t shared_bytes) {
  std::vector<ConvConfig> configs{{64, 64, kStages, 1}};
  if (math != KernelMath::kF32)
    configs.insert(configs.end(), {{128, 64, kStages, 1}, {128, 128, kStages, 1}});
  std::erase_if(configs,
                [&](const ConvConfig& c) { return size_t(kStages) * 64 * size_t(c.m + c.n) > shared_bytes; });
  for (size_t i = configs.size(); i-- > 1;) {
    const ConvConfig& c = configs[i];
    if ((c.n > 64 && n <= 64) || m <= 64 || blocks(m, c.m) * blocks(n, c.n) * times < multiprocessors)
      continue;
    std::swap(configs[0], configs[i]);
    break;
  }
  return configs;
}

}  // namespace

const char* conv_dgrad_refuses(const ConvDgradArgs& args) {
  const KernelMap &gy = args.gy, &gx = args.gx;
  if (const char* why = shapes_refuse(args.math, gy, gx, args.kernel, args.stride, args.pad, args.groups))
    return why;
  if (!whole_chunks(gx.c, gx.type) || !whole_chunks(gx.pixel_stride, gx.type))
    return "gx's channels or pixels are no multiples of 16 bytes";
  if (!aligned(args.weight) || args.weight == nullptr || !whole_chunks(args.weight_stride, gx.type) ||
      args.weight_stride < int64_t{args.kernel} * args.kernel * gx.c / args.groups)
    return "weight is missing, or its rows are too short or not aligned to 16 bytes";
  return nullptr;
}

const char* conv_wgrad_refuses(const ConvWgradArgs& args) {
  const KernelMap& x = args.x;
  if (const char* why = shapes_refuse(args.math, args.gy, x, args.kernel, args.stride, args.pad, args.groups))
    return why;
  const bool narrow = x.c == 4 && bytes_of(x.type) == 2 && x.pixel_stride % 4 == 0;
  if (!narrow && (!whole_chunks(x.c, x.type) || !whole_chunks(x.pixel_stride, x.type)))
    return "x's channels or pixels are no multiples of 16 bytes, nor 4 channels of 16 bits";
  if (args.gw == nullptr || args.channels < 0 || args.channels > x.c / args.groups)
    return "gw is missing, or wider than x";
  return nullptr;
}

const char* bias_grad_refuses(const BiasGradArgs& args) {
  const KernelType type = args.gy.type;
  if (type != KernelType::kF32 && type != KernelType::kF16 && type != KernelType::kBF16)
    return "gy must be f32, f16 or bf16";
  if (const char* why = map_refuses(args.gy)) return why;
  if (!whole_chunks(args.gy.pixel_stride, type)) return "gy's pixels are not multiples of 16 bytes apart";
  return args.gb == nullptr ? "gb is missing" : nullptr;
}

std::vector<ConvConfig> conv_dgrad_configs(const ConvDgradArgs& args, int multiprocessors,
                                           size_t shared_bytes) {
  if (conv_dgrad_refuses(args) != nullptr) return {};
  if (args.groups > 1) return {{64, 64, kStages, 1}};  // one kernel, whatever this says
  return block_sizes(args.math, args.gx.pixels(), args.gx.c, 1, multiprocessors, shared_bytes);
}

// Splits: two blocks for each multiprocessor, as far as each has at least 16 tiles of depth; and half and
// double of that to measure.
std::vector<ConvConfig> conv_wgrad_configs(const ConvWgradArgs& args, int multiprocessors,
                                           size_t shared_bytes) {
  if (conv_wgrad_refuses(args) != nullptr) return {};
  const int columns = args.kernel * args.kernel * args.x.c / args.groups, depth = 64 / bytes_of(args.x.type);
  const int64_t most = std::clamp<int64_t>(args.gy.pixels() / (16 * depth), 1, kMaxSplits);
  std::vector<ConvConfig> configs;
  for (ConvConfig c : block_sizes(args.math, args.gy.c, columns, most, multiprocessors, shared_bytes)) {
    if (args.x.c == 4 && c.m != 64) continue;
    if (args.groups > 1 && c.m + c.n != 128) continue;
    const int64_t tiles =
        args.groups > 1 ? blocks(args.gy.c, 32) * columns : blocks(args.gy.c, c.m) * blocks(columns, c.n);
    const int64_t wanted = (2 * int64_t{multiprocessors} + tiles - 1) / tiles;
    for (const int64_t splits : {wanted, wanted / 2, wanted * 2}) {
      c.splits = int(std::clamp<int64_t>(splits, 1, most));
      if (std::find(configs.begin(), configs.end(), c) == configs.end()) configs.push_back(c);
    }
  }
  return configs;
}

size_t conv_wgrad_workspace(const ConvWgradArgs& args) {
  const int64_t columns = blocks(int64_t{args.kernel} * args.kernel * args.x.c / args.groups, 8) * 8;
  return size_t(args.config.splits) * size_t(args.gy.c) * size_t(columns) * sizeof(float);
}

int bias_grad_splits(const BiasGradArgs& args) {
  return int(std::clamp<int64_t>(args.gy.pixels() / 256, 1, 128));
}

size_t bias_grad_workspace(const BiasGradArgs& args) {
  return size_t(bias_grad_splits(args)) * size_t(blocks(args.gy.c, 8) * 8) * sizeof(float);
}

}  // namespace mtyolo

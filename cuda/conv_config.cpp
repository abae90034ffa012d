#include "cuda/conv_config.h"

#include <algorithm>
#include <bit>

#include "cuda/check.h"

namespace mtyolo {
namespace {

constexpr ConvTile kTiles[] = {{128, 128}, {128, 64}, {64, 64}, {256, 32},
                               {64, 128},  {256, 64}, {32, 128}};  // tf32 has the first four
constexpr ConvTile kStemTiles[] = {{256, 32}, {64, 64}};
constexpr ConvTile kF32Tiles[] = {{64, 64}, {128, 128}};
constexpr ConvTile kGroupTiles[] = {{64, 64}};

int size_of(const ConvArgs& args) { return bytes_of(type_of(args.math)); }
template <class T>
T tiles_of(T length, int tile) {
  return (length + tile - 1) / tile;
}
int weight_row(const ConvArgs& args) { return args.kernel * args.kernel * args.x.c / args.groups; }
int depth_tiles(const ConvArgs& args) { return tiles_of(weight_row(args) * size_of(args), kConvDepthBytes); }
int64_t tile_count(const ConvArgs& args, const ConvTile& tile) {
  return tiles_of(args.y.pixels(), tile.m) * tiles_of(args.y.c, tile.n);
}
bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

bool same_shape(const KernelMap& a, const KernelMap& b, int scale) {
  return a.type == b.type && a.n == b.n && a.h == b.h * scale && a.w == b.w * scale && a.c == b.c &&
         a.pixel_stride >= a.c;
}

const char* refuses_shape(const ConvArgs& args) {
  const KernelMap &x = args.x, &y = args.y;
  if (args.kernel < 1 || args.kernel > kConvMaxKernel || args.stride < 1 || args.pad < 0 || args.groups < 1)
    return "conv: the kernel must be 1 to 15 wide, stride and groups at least 1, pad not negative";
  if (x.n < 1 || x.h < 1 || x.w < 1 || x.c < 1 || y.c < 1 || x.c % args.groups != 0 || y.c % args.groups != 0)
    return "conv: maps must not be empty, channels be multiples of the groups";
  if (x.h + 2 * args.pad < args.kernel || x.w + 2 * args.pad < args.kernel || y.n != x.n ||
      y.h != (x.h + 2 * args.pad - args.kernel) / args.stride + 1 ||
      y.w != (x.w + 2 * args.pad - args.kernel) / args.stride + 1)
    return "conv: y is not as large as x, kernel, stride and pad make it";
  if (x.pixel_stride < x.c || y.pixel_stride < y.c || args.weight_stride < weight_row(args))
    return "conv: a stride is shorter than its pixel or row";
  if (y.pixels() >= (int64_t{1} << 31) - 256 || tile_count(args, {32, 32}) >= int64_t{1} << 31 ||
      int64_t{x.w} * x.pixel_stride * size_of(args) * (kConvMaxKernel + 1) >= int64_t{1} << 31)
    return "conv: more than 2^31 pixels or tiles of results, or lines of more than 2^27 bytes";
  if (args.second && !same_shape(args.second, y, args.upsample_second ? 2 : 1))
    return "conv: the second destination has not the type or shape of the result";
  if (args.residual && !same_shape(args.residual, y, 1))
    return "conv: the residual has not the type or shape of the result";
  return nullptr;
}

const char* refuses_types(const ConvArgs& args) {
  const KernelType in = type_of(args.math), out = args.y.type;
  if (args.x.type != in) return "conv: x is not of the math's type";
  if (out != in && out != KernelType::kF32 && !(in == KernelType::kS8 && out == KernelType::kF16))
    return "conv: y must be of the math's type or f32, for s8 also f16";
  if (out == KernelType::kS8 && args.residual) return "conv: a residual of s8 would need a scale of its own";
  const int size = size_of(args);
  if (!conv_is_stem(args) && (args.x.c * size % 16 != 0 || args.x.pixel_stride * size % 16 != 0))
    return "conv: channels and pixel stride of x must be multiples of 16 bytes, or 4 channels stored as 4";
  if (!aligned(args.x.data) || !aligned(args.weight) || args.weight_stride * size % 16 != 0)
    return "conv: x, weight and its rows must begin at multiples of 16 bytes";
  return nullptr;
}

// Splits to take for a tile: as many as give each multiprocessor one or two blocks, each with at least six
// tiles of depth.
int splits_for(const ConvArgs& args, const ConvTile& tile, int multiprocessors) {
  const int64_t tiles = tile_count(args, tile);
  if (args.groups > 1 || 4 * tiles >= 3 * multiprocessors || tiles > kConvCounters) return 1;
  return int(std::clamp<int64_t>(std::min<int64_t>(2 * multiprocessors / tiles, depth_tiles(args) / 6), 1,
                                 kConvMaxSplits));
}

// Time by a rough model, in products of 128 x 128 by one tile of depth on one multiprocessor: a tile of depth
// costs its products, the reading of its operands and a step of the loop; a tile of y its stores, a split one
// also its partial sums. Whole rounds over all multiprocessors.
double cost(const ConvArgs& args, const ConvConfig& config, int multiprocessors) {
  const double area = config.m * config.n / 16384.0, edge = (config.m + config.n) / 256.0;
  const double step = area + 0.35 * edge + 0.05, depth = double(depth_tiles(args)) / config.splits;
  const double last = 4 * area + (config.splits > 1 ? area * (4 + 2 * config.splits) : 0);
  const int64_t blocks = tile_count(args, {config.m, config.n}) * config.splits;
  return double(tiles_of(blocks, multiprocessors)) * (step * (depth + 3) + last);
}

ConvSlice slice_of(const KernelMap& map) {
  const int64_t pixel = int64_t{map.pixel_stride} * bytes_of(map.type);
  return {static_cast<char*>(map.data), pixel, aligned(map.data) && pixel % 16 == 0};
}

void check_config(const ConvArgs& args) {
  const char* refusal = conv_refuses(args);
  check_argument(refusal == nullptr, refusal);
  check_argument(args.x.data != nullptr && args.weight != nullptr && args.y.data != nullptr,
                 "conv: x, weight or y is null");
  const ConvConfig& c = args.config;
  const auto tiles = conv_tiles(args);
  check_argument(std::find(tiles.begin(), tiles.end(), ConvTile{c.m, c.n}) != tiles.end(),
                 "conv: no kernel was compiled for the tile in config");
  check_argument(c.stages >= 2 && c.stages <= 4, "conv: stages must be 2 to 4");
  check_argument(c.splits >= 1 && c.splits <= std::min(kConvMaxSplits, depth_tiles(args)) &&
                     (c.splits == 1 || (args.groups == 1 && tile_count(args, {c.m, c.n}) <= kConvCounters)),
                 "conv: more splits than tiles of depth, or more than the workspace has counters for");
  check_argument(args.workspace_bytes >= conv_workspace(args) &&
                     (c.splits == 1 || (args.workspace != nullptr && aligned(args.workspace))),
                 "conv: the workspace is smaller than conv_workspace() or not at a multiple of 16 bytes");
}

}  // namespace

FastDivide::FastDivide(uint32_t by) : shift(31 + uint32_t(std::bit_width(by - 1))), divisor(by) {
  multiplier = uint32_t(((uint64_t{1} << shift) + by - 1) / by);
}

bool conv_is_stem(const ConvArgs& args) {
  return args.groups == 1 && args.x.c == 4 && size_of(args) < 4 && args.x.pixel_stride == 4;
}

std::span<const ConvTile> conv_tiles(const ConvArgs& args) {
  if (args.groups > 1) return kGroupTiles;
  if (args.math == KernelMath::kF32) return kF32Tiles;
  if (args.math == KernelMath::kTF32) return std::span(kTiles).first(4);
  return conv_is_stem(args) ? std::span<const ConvTile>(kStemTiles) : kTiles;
}

size_t conv_shared_bytes(const ConvTile& tile, int stages) {
  return std::max(size_t(stages) * size_t(tile.m + tile.n) * kConvDepthBytes,
                  size_t(tile.m) * size_t(tile.n) * sizeof(float));
}

const char* conv_refuses(const ConvArgs& args) {
  const char* refusal = refuses_shape(args);
  return refusal != nullptr ? refusal : refuses_types(args);
}

std::vector<ConvConfig> conv_configs(const ConvArgs& args, int multiprocessors, size_t shared_bytes) {
  std::vector<ConvConfig> configs;
  if (conv_refuses(args) != nullptr) return configs;
  const auto cheaper = [&](const ConvConfig& a, const ConvConfig& b) {
    return cost(args, a, multiprocessors) < cost(args, b, multiprocessors);
  };
  const auto offer = [&](const ConvConfig& c) {
    configs.insert(std::upper_bound(configs.begin(), configs.end(), c, cheaper), c);
  };
  for (const ConvTile& tile : conv_tiles(args)) {
    const int splits = splits_for(args, tile, multiprocessors);
    for (const int stages : {3, 4, 2}) {
      if (conv_shared_bytes(tile, stages) > shared_bytes) continue;
      offer({tile.m, tile.n, stages, splits});
      if (splits > 1) offer({tile.m, tile.n, stages, 1});
      if (args.groups > 1) break;  // no ring
    }
  }
  return configs;
}

size_t conv_workspace(const ConvArgs& args) {
  const ConvConfig& c = args.config;
  if (c.splits == 1) return 0;
  const ConvTile tile{c.m, c.n};
  return (kConvCounters + size_t(tile_count(args, tile)) * size_t(c.splits) * size_t(c.m) * size_t(c.n)) * 4;
}

int conv_moment_tiles(const ConvArgs& args) { return int(tiles_of(args.y.pixels(), args.config.m)); }

ConvParams conv_params(const ConvArgs& args) {
  check_config(args);
  const KernelMap &x = args.x, &y = args.y;
  const int size = size_of(args);
  ConvParams p;
  p.x = static_cast<const char*>(x.data), p.weight = static_cast<const char*>(args.weight);
  p.pixels = int(y.pixels()), p.channels = y.c;
  p.pixel_bytes = x.pixel_stride * size, p.line_bytes = x.w * p.pixel_bytes;
  p.image_bytes = int64_t{x.h} * p.line_bytes, p.tap_bytes = x.c * size;
  p.weight_stride = int64_t{args.weight_stride} * size;
  p.weight_bytes = tiles_of(weight_row(args) * size, 16) * 16;
  p.h = x.h, p.w = x.w, p.kernel = args.kernel, p.stride = args.stride, p.pad = args.pad;
  p.tap_inverse = 65536u / uint32_t(args.kernel) + 1;
  p.pointwise = args.kernel == 1 && args.stride == 1 && args.pad == 0 && !conv_is_stem(args);
  p.y_image = FastDivide(uint32_t(y.h) * uint32_t(y.w)), p.y_line = FastDivide(uint32_t(y.w));
  p.x_tap = FastDivide(uint32_t(p.tap_bytes));
  p.m_tiles = conv_moment_tiles(args), p.n_tiles = tiles_of(y.c, args.config.n);
  p.depth_tiles = depth_tiles(args), p.stages = args.config.stages, p.splits = args.config.splits;
  p.epilogue = args.epilogue, p.out = y.type;
  p.y = slice_of(y), p.residual = slice_of(args.residual), p.second = slice_of(args.second);
  p.upsample_second = args.upsample_second, p.moments = args.moments;
  p.counters = static_cast<uint32_t*>(args.workspace);
  if (args.workspace != nullptr) p.parts = static_cast<float*>(args.workspace) + kConvCounters;
  p.group_in = x.c / args.groups, p.group_out = y.c / args.groups;
  return p;
}

}  // namespace mtyolo

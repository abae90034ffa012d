#include "cuda/conv_hopper.h"

#include <algorithm>
#include <utility>

#include "cuda/conv_config.h"

namespace mtyolo {

const char* conv_hopper_refuses(const ConvArgs& args) {
  if (const char* refusal = conv_refuses(args)) return refusal;
  if (args.math != KernelMath::kF16 && args.math != KernelMath::kBF16)
    return "conv_hopper: only f16 and bf16";
  if (args.groups != 1 || conv_is_stem(args))
    return "conv_hopper: one group, channels a multiple of 16 bytes";
  if (args.moments != nullptr) return "conv_hopper: computes no moments";
  if (args.stride > 8) return "conv_hopper: stride at most 8";
  return nullptr;
}

// Time by a rough model: rounds over all multiprocessors, each of its products and a part that is the same
// for all widths.
std::vector<ConvConfig> conv_hopper_configs(const ConvArgs& args, int multiprocessors) {
  if (conv_hopper_refuses(args) != nullptr) return {};
  std::vector<ConvConfig> configs{{128, 128, 6, 1}, {128, 256, 4, 1}, {128, 64, 8, 1}};
  const auto cost = [&](const ConvConfig& c) {
    const int64_t tiles = (args.y.pixels() + c.m - 1) / c.m * ((args.y.c + c.n - 1) / c.n);
    return std::pair((tiles + multiprocessors - 1) / multiprocessors * (c.n + 32), c.n);
  };
  std::sort(configs.begin(), configs.end(),
            [&](const ConvConfig& a, const ConvConfig& b) { return cost(a) < cost(b); });
  return configs;
}

}  // namespace mtyolo

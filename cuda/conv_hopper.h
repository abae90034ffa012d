// Forward convolution for sm_90a: f16 and bf16, one group, 128 pixels by 64, 128 or 256 channels a tile,
// whole depth. Operands come by box copies (TMA), products are the warpgroup's (wgmma).
#pragma once

#include "cuda/conv.h"

namespace mtyolo {

// As conv_refuses() and conv_configs() of cuda/conv.h for this kernel, which also refuses moments, groups,
// maps of 4 channels and other types.
const char* conv_hopper_refuses(const ConvArgs& args);
std::vector<ConvConfig> conv_hopper_configs(const ConvArgs& args, int multiprocessors);

// At most `multiprocessors` blocks, each of which computes many tiles. args.config is one of
// conv_hopper_configs(); no workspace. Throws Error{"check"} for arguments outside the above.
namespace simt {
void conv_hopper(KernelStream stream, const ConvArgs& args, int multiprocessors);
}
namespace cuda {
void conv_hopper(KernelStream stream, const ConvArgs& args, int multiprocessors);
}

}  // namespace mtyolo

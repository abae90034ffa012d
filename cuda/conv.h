// Forward convolution on a device; ops/device/conv.h says what it computes.
#pragma once

#include <vector>

#include "cuda/dims.h"
#include "ops/device/conv.h"

namespace mtyolo {

// The configurations that can run `args` (args.config is not looked at), the one to take without measuring
// first; none when no kernel can. `multiprocessors` and `shared_bytes` are the device's.
std::vector<ConvConfig> conv_configs(const ConvArgs& args, int multiprocessors, size_t shared_bytes);
// Why no configuration can run it, or null.
const char* conv_refuses(const ConvArgs& args);
size_t conv_workspace(const ConvArgs& args);
int conv_moment_tiles(const ConvArgs& args);

// Throws Error{"check"} for arguments outside the above.
namespace simt {
void conv(KernelStream stream, const ConvArgs& args);
}
namespace cuda {
void conv(KernelStream stream, const ConvArgs& args);
}

}  // namespace mtyolo

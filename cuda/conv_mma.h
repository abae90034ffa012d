// Convolutions of one group on tensor cores: tf32, f16, bf16, s8. Called by conv().
#pragma once

#include "cuda/conv_config.h"

namespace mtyolo {

namespace simt {
void conv_mma(KernelStream stream, const ConvArgs& args, const ConvParams& p);
}
namespace cuda {
void conv_mma(KernelStream stream, const ConvArgs& args, const ConvParams& p);
}

}  // namespace mtyolo

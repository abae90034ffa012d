// The kernels that multiply bf16 values; with AVX512-BF16 one instruction takes a pair per lane.
#include "ops/blocked/conv_rows.h"
#include "ops/blocked/outer_tile.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

void conv_bf16(const ConvTask& task) { conv_rows<PairProduct>(task); }
void outer_bf16(const OuterTask& task) { outer_product<PairProduct>(task); }

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

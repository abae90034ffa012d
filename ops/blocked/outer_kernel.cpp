#include "ops/blocked/outer_tile.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

void outer(const OuterTask& task) { outer_product<FloatProduct>(task); }

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

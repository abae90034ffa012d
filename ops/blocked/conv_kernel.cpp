#include "ops/blocked/conv_rows.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

void conv(const ConvTask& task) { conv_rows<FloatProduct>(task); }

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA

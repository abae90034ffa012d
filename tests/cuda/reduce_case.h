// Row sums on the emulated device beside the sum in double precision; also what the mutation test runs.
#pragma once

#include <string>

#include "cuda/reduce.h"

namespace mtyolo::test {

// "" when right; `extra` elements lie between rows.
std::string row_sum_fault(KernelType type, int rows, int columns, int extra);

}  // namespace mtyolo::test

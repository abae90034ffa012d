#include "tests/cuda/reduce_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("simt: sums of rows equal the sum in double precision, whatever the length, type and schedule") {
  const auto type = GENERATE(KernelType::kF32, KernelType::kF16, KernelType::kBF16);
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    INFO(to_string(run));
    for (const int columns : {1, 31, 32, 33, 255, 512, 513, 1030})
      for (const int extra : {0, 3}) CHECK(row_sum_fault(type, 5, columns, extra) == "");
    CHECK(row_sum_fault(type, 7, 40, 8) == "");
  }
}

TEST_CASE("simt: sums of rows are the same bits for every seed") {
  emulator::Options o = emulator::options();
  o.order = emulator::Order::kShuffle;
  o.repeat = 5;
  const WithOptions with(o);
  CHECK(row_sum_fault(KernelType::kF32, 6, 700, 1) == "");
}

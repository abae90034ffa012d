#include "cuda/gemm.h"

#include <numeric>

#include "cuda/simt/counters.h"
#include "tests/cuda/gemm_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE(
    "simt: the product of matrices equals the sum in double precision, whatever the type and schedule") {
  const auto c =
      GENERATE(GemmCase{.m = 65, .n = 70, .k = 48}, GemmCase{.m = 3, .n = 8, .k = 128, .stages = 2},
               GemmCase{.m = 64, .n = 64, .k = 16, .stages = 3},
               GemmCase{.m = 130, .n = 33, .k = 208, .c_offset = 5, .c_extra = 9, .a_extra = 16});
  const auto math =
      GENERATE(KernelMath::kF32, KernelMath::kTF32, KernelMath::kF16, KernelMath::kBF16, KernelMath::kS8);
  INFO("m " << c.m << " n " << c.n << " k " << c.k << " math " << int(math));
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    INFO(to_string(run));
    CHECK(gemm_fault(math, c) == "");
  }
}

TEST_CASE("simt: the epilogue of a product scales, shifts and activates each channel") {
  for (const KernelActivation activation : {KernelActivation::kSilu, KernelActivation::kLeakyRelu}) {
    const GemmCase c{.m = 20, .n = 37, .k = 64, .activation = activation, .scaled = true};
    for (const KernelMath math : {KernelMath::kF32, KernelMath::kF16, KernelMath::kS8})
      CHECK(gemm_fault(math, c) == "");
  }
}

TEST_CASE("simt: a product is right when copies are early or mixed, and in every order") {
  for (const emulator::AsyncMode mode : {emulator::AsyncMode::kEarly, emulator::AsyncMode::kMixed})
    for (int order = 0; order < 5; ++order) {
      emulator::Options o = emulator::options();
      o.async = mode;
      o.order = emulator::Order(order);
      const WithOptions with(o);
      INFO(to_string(o));
      CHECK(gemm_fault(KernelMath::kF16, {.m = 70, .n = 66, .k = 160}) == "");
    }
}

TEST_CASE("simt: tiles of a product meet no bank conflict, and their copies waste no sector") {
  emulator::Options o = emulator::options();
  o.count = true;
  const WithOptions with(o);
  for (const KernelMath math : {KernelMath::kF16, KernelMath::kTF32, KernelMath::kF32}) {
    emulator::reset_counters();
    CHECK(gemm_fault(math, {.m = 64, .n = 64, .k = 128}) == "");
    const emulator::Counters counted = emulator::counters();
    CHECK(counted.shared_phases > 100);
    CHECK(counted.shared_extra == 0);
    CHECK(counted.global_sectors == counted.global_ideal);
  }
}

TEST_CASE("simt: a product refuses strides that break its promise of alignment") {
  GemmArgs args{.m = 4, .n = 4, .k = 12, .a_stride = 12, .b_stride = 12, .c_stride = 4};
  CHECK(error_text([&] { simt::gemm({}, args); }).find("16 bytes") != std::string::npos);
  args = {.m = 4, .n = 4, .k = 16, .a_stride = 8, .b_stride = 16, .c_stride = 4};
  CHECK(error_text([&] { simt::gemm({}, args); }).find("shorter than its row") != std::string::npos);
  args = {.m = 4, .n = 4, .k = 16, .a_stride = 16, .b_stride = 16, .c_stride = 4, .stages = 5};
  CHECK(error_text([&] { simt::gemm({}, args); }).find("stages") != std::string::npos);
}

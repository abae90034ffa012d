#include "tests/cuda/conv_case.h"
#include "tests/cuda/conv_grad_case.h"
#include "tests/cuda/gemm_case.h"
#include "tests/cuda/map_case.h"
#include "tests/cuda/nms_case.h"
#include "tests/cuda/norm_case.h"
#include "tests/cuda/optimizer_case.h"
#include "tests/cuda/race_kernels.h"
#include "tests/cuda/race_testing.h"
#include "tests/cuda/reduce_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("simt_race: accesses that nothing orders are found under every schedule, ordered ones are not") {
  const WithRaceChecker checker;
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    INFO(to_string(run));
    for (const RaceKernel which :
         {RaceKernel::kBarrier, RaceKernel::kWarp, RaceKernel::kShuffle, RaceKernel::kRing,
          RaceKernel::kBlocks, RaceKernel::kSemaphore, RaceKernel::kAtomic}) {
      INFO("kernel " << int(which));
      CHECK(error_text([&] { run_race_kernel(which, true); }) == "no error");
      CHECK(error_text([&] { run_race_kernel(which, false); }).find("race: ") != std::string::npos);
    }
  }
}

TEST_CASE("simt_race: a race is reported with both lines of the kernel") {
  const WithRaceChecker checker;
  const std::string text = error_text([] { run_race_kernel(RaceKernel::kBarrier, false); });
  INFO(text);
  const size_t first = text.find("race_kernels.cpp:"), second = text.find("race_kernels.cpp:", first + 1);
  CHECK(first != std::string::npos);
  CHECK(second != std::string::npos);
  CHECK(text.find("race_kernels.cpp:0") == std::string::npos);
}

TEST_CASE("simt_race: the kernels have no race") {
  const WithRaceChecker checker;
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    INFO(to_string(run));
    for (const KernelMath math : {KernelMath::kF32, KernelMath::kTF32, KernelMath::kF16, KernelMath::kS8})
      CHECK(gemm_fault(math, {.m = 65, .n = 40, .k = 160, .scaled = true}) == "");
    const ConvGradCase gradient{.shape = {1, 9, 7, 16, 40, 3, 2, 1}, .splits = 2};
    for (const KernelMath math : {KernelMath::kF32, KernelMath::kTF32, KernelMath::kF16})
      CHECK(dgrad_fault(math, gradient) + wgrad_fault(math, gradient) + bias_grad_fault(math, gradient) ==
            "");
    const ConvGradCase groups{.shape = {1, 9, 7, 16, 40, 3, 2, 1, 8}, .splits = 2};
    CHECK(dgrad_fault(KernelMath::kF16, groups) + wgrad_fault(KernelMath::kF16, groups) == "");
    CHECK(row_sum_fault(KernelType::kF32, 5, 100, 1) == "");
    CHECK(row_sum_fault(KernelType::kF16, 3, 1000, 0) == "");
    CHECK(map_ops_fault({KernelType::kF16, {1, 16, 2, 4}, 3, 5}) == "");
    CHECK(map_grad_fault({KernelType::kF16, {1, 16, 4, 10}}) == "");
    CHECK(pool_fault({{KernelType::kF16, {2, 16, 6, 5}}, 5, 1, 2}, false) == "");
    CHECK(image_fault(KernelType::kF16) == "");
    for (const KernelType type : {KernelType::kF32, KernelType::kF16})
      CHECK(norm_fault(type, {.n = 2, .h = 9, .w = 11, .c = 21, .before = 3, .in_place = true}) == "");
    CHECK(optimizer_fault({.rule = StepRule::kAdam, .bad_step = 1}) == "");
    CHECK(nms_fault({.classes = {2, 34}, .side = 4, .spare = 0, .params = {.multi_label = true}}) == "");
    CHECK(select_fault({300}, 2, 9, {}) == "");
  }
}

TEST_CASE("simt_race: convolutions have no race") {
  const WithRaceChecker checker;
  CHECK(conv_fault(KernelMath::kBF16, {.size = 9, .c = 24, .k = 70, .hopper = 1, .config = {128, 64, 8}}) ==
        "");
  const ConvCase cases[] = {
      {.size = 5, .c = 16, .k = 40, .moments = true, .second = 4, .config = {64, 64, 3, 3}},
      {.size = 5, .c = 4, .k = 8, .config = {64, 64, 2, 1}},
      {.size = 5, .c = 16, .k = 16, .groups = 4, .moments = true}};
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    INFO(to_string(run));
    for (const ConvCase& c : cases)
      for (const KernelMath math : {KernelMath::kF32, KernelMath::kF16, KernelMath::kS8})
        CHECK(conv_fault(math, c) == "");
  }
}

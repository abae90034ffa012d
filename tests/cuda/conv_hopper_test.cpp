#include "cuda/conv_hopper.h"

#include "cuda/simt/counters.h"
#include "tests/cuda/conv_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

constexpr ConvConfig kNarrow{128, 64, 8, 1}, kMiddle{128, 128, 6, 1}, kWide{128, 256, 4, 1};

}  // namespace

TEST_CASE("simt: the convolution for sm_90a equals the direct sum, whatever the shape and the tile") {
  const ConvCase c = GENERATE(
      ConvCase{.n = 3, .size = 5, .c = 64, .k = 80}, ConvCase{.size = 7, .c = 16, .k = 255, .kernel = 1},
      ConvCase{.n = 3, .size = 5, .c = 48, .k = 8, .kernel = 1, .stride = 2, .x_extra = 16},
      ConvCase{.size = 16, .c = 16, .real = 12, .k = 64, .stride = 2},
      ConvCase{.n = 2, .size = 9, .c = 88, .k = 136, .kernel = 1, .x_extra = 8},
      ConvCase{.size = 7, .c = 80, .k = 8, .kernel = 5});
  for (const KernelMath math : {KernelMath::kF16, KernelMath::kBF16})
    for (const ConvConfig& config : {kNarrow, kMiddle, kWide}) {
      ConvCase one = c;
      one.config = config, one.hopper = 2;
      INFO("c " << c.c << " k " << c.k << " kernel " << c.kernel << " tile " << config.n);
      CHECK(conv_fault(math, one) == "");
    }
}

TEST_CASE(
    "simt: the convolution for sm_90a is the same under every schedule, with copies late, early or mixed") {
  const ConvCase cases[] = {
      {.n = 2, .size = 10, .c = 24, .k = 70, .hopper = 2, .config = kNarrow},
      {.n = 3, .size = 13, .c = 72, .k = 8, .stride = 2, .second = 4, .hopper = 1, .config = kMiddle}};
  for (emulator::Options run : kernel_runs())
    for (const auto mode :
         {emulator::AsyncMode::kLate, emulator::AsyncMode::kEarly, emulator::AsyncMode::kMixed}) {
      run.async = mode;
      const WithOptions with(run);
      INFO(to_string(run));
      for (const ConvCase& c : cases) CHECK(conv_fault(KernelMath::kF16, c) == "");
    }
}

TEST_CASE("simt: the convolution for sm_90a scales, activates, adds a residual and writes slices") {
  ConvCase c{
      .size = 6, .c = 16, .k = 72, .activation = KernelActivation::kSilu, .scaled = true, .residual = true};
  c.hopper = 3, c.config = kNarrow;
  for (const KernelType out : {KernelType::kF16, KernelType::kF32})
    for (const int offset : {0, 8, 3})
      for (const int second : {0, 1, 4}) {
        c.out = out, c.y_offset = offset, c.y_extra = offset, c.second = second;
        CHECK(conv_fault(KernelMath::kF16, c) == "");
      }
}

TEST_CASE("simt: the convolution for sm_90a stores without bank conflicts") {
  emulator::Options counting = emulator::options();
  counting.count = true;
  const WithOptions with(counting);
  emulator::reset_counters();
  CHECK(conv_fault(KernelMath::kF16, {.size = 8, .c = 64, .k = 64, .hopper = 2, .config = kNarrow}) == "");
  CHECK(emulator::counters().shared_extra == 0);
}

TEST_CASE("simt: the convolution for sm_90a names what it does not take") {
  const auto refusal = [](KernelMath math, const ConvCase& c) {
    const char* why = conv_hopper_refuses(conv_args(math, c));
    return std::string(why == nullptr ? "" : why);
  };
  CHECK(refusal(KernelMath::kF16, {}).empty());
  CHECK(refusal(KernelMath::kS8, {}).find("only f16 and bf16") != std::string::npos);
  CHECK(refusal(KernelMath::kF16, {.groups = 2}).find("one group") != std::string::npos);
  CHECK(refusal(KernelMath::kF16, {.c = 4}).find("one group") != std::string::npos);
  CHECK(refusal(KernelMath::kF16, {.size = 40, .stride = 9}).find("stride at most 8") != std::string::npos);
  ConvArgs args = conv_args(KernelMath::kF16, {});
  float moments = 0;
  args.moments = &moments;
  CHECK(std::string(conv_hopper_refuses(args)).find("moments") != std::string::npos);
  CHECK(conv_hopper_configs(args, 132).empty());
  args.moments = nullptr;
  args.config = {128, 64, 3, 1};
  CHECK(error_text([&] { simt::conv_hopper({}, args, 132); }).find("config is none") != std::string::npos);
  // 20 x 20 at batch 1: the narrowest tiles spread best; many pixels: the widest
  args.y = {nullptr, KernelType::kF16, 1, 20, 20, 512, 512}, args.x = args.y, args.kernel = 1, args.pad = 0;
  args.weight_stride = 512;
  CHECK(conv_hopper_configs(args, 132).at(0) == kNarrow);
  args.x.n = args.y.n = 128;
  CHECK(conv_hopper_configs(args, 132).at(0) == kWide);
}

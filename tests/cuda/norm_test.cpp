#include "cuda/norm.h"

#include "cuda/simt/counters.h"
#include "tests/cuda/norm_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

constexpr KernelType kTypes[] = {KernelType::kF32, KernelType::kF16, KernelType::kBF16};
using enum KernelActivation;

}  // namespace

TEST_CASE("simt: batch norm in training, forward and backward, is the CPU's definition in double precision") {
  const NormCase cases[] = {
      {.n = 2, .h = 9, .w = 15, .c = 21, .before = 3, .after = 4, .activation = kSilu},
      {.n = 1, .h = 5, .w = 5, .c = 16, .before = 8, .after = 16, .activation = kLeakyRelu, .in_place = true},
      {.n = 3, .h = 10, .w = 11, .c = 80, .activation = kSilu, .in_place = true},
      {.n = 1, .h = 1, .w = 3, .c = 2, .activation = kNone},
      {.n = 1, .h = 13, .w = 10, .c = 20, .before = 8, .after = 4, .activation = kSilu, .frozen = true},
      {.n = 2, .h = 10, .w = 15, .c = 11, .activation = kNone, .frozen = true, .in_place = true},
  };
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    for (const NormCase& c : cases)
      for (const KernelType type : kTypes) {
        INFO(to_string(run) << ", c " << c.c << ", type " << int(type));
        CHECK(norm_fault(type, c) == "");
      }
  }
}

TEST_CASE("simt: batch norm of many tiles gives the same bits for every seed") {
  emulator::Options o = emulator::options();
  o.order = emulator::Order::kShuffle;
  o.repeat = 3;
  const WithOptions with(o);
  for (const KernelType type : {KernelType::kF32, KernelType::kBF16})
    CHECK(norm_fault(type, {.n = 1, .h = 50, .w = 60, .c = 5}) == "");
}

TEST_CASE("simt: batch norm keeps a small variance beside a large mean") {
  for (const double centre : {1000.0, -4000.0})
    CHECK(norm_fault(KernelType::kF32, {.n = 2, .h = 20, .w = 15, .c = 9, .centre = centre}) == "");
  CHECK(norm_fault(KernelType::kF16, {.n = 2, .h = 12, .w = 15, .c = 16, .centre = 100}) == "");
}

TEST_CASE("simt: batch norm meets no bank conflict and wastes no sector of aligned maps") {
  emulator::Options o = emulator::options();
  o.count = true;
  const WithOptions with(o);
  for (const KernelType type : kTypes) {
    emulator::reset_counters();
    CHECK(norm_fault(type, {.n = 2, .h = 10, .w = 16, .c = 64, .before = 64, .after = 64}) == "");
    const emulator::Counters counted = emulator::counters();
    CHECK(counted.shared_phases > 100);
    CHECK(counted.shared_extra == 0);
    CHECK(counted.global_sectors <= counted.global_ideal);
  }
}

TEST_CASE("simt: batch norm refuses maps that do not fit each other and activations it has no slope for") {
  SimtBuffer<float> memory(64);
  const KernelMap y{memory.get(), KernelType::kF32, 1, 2, 2, 4, 4};
  BnActArgs args{.y = y, .a = y};
  CHECK(error_text([&] { simt::bn_act_apply({}, args); }).find("is null") != std::string::npos);
  args.norm = {.weight = memory.get(), .bias = memory.get()};
  args.norm.mean = args.norm.inv_std = args.norm.scale = memory.get();
  args.activation = kSigmoid;
  CHECK(error_text([&] { simt::bn_act_apply({}, args); }).find("leaky ReLU") != std::string::npos);
  args.a.w = 1;
  CHECK(error_text([&] { simt::bn_act_apply({}, args); }).find("one type and shape") != std::string::npos);
  const KernelMap bytes{memory.get(), KernelType::kU8, 1, 2, 2, 4, 4};
  CHECK(error_text([&] { simt::bn_moments({}, bytes, memory.get()); }).find("f32, f16") != std::string::npos);
}

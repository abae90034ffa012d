#include "cuda/conv_grad.h"

#include "cuda/simt/counters.h"
#include "tests/cuda/conv_grad_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

constexpr KernelMath kMaths[] = {KernelMath::kF32, KernelMath::kTF32, KernelMath::kF16, KernelMath::kBF16};

// For every math under every run.
template <class Fault>
void check_all(const ConvGradCase& c, Fault fault) {
  INFO("n " << c.n << " h " << c.h << " w " << c.w << " c " << c.c << " k " << c.k << " kernel " << c.kernel
            << " stride " << c.stride << " splits " << c.splits << " tile " << c.m_tile << " " << c.n_tile);
  for (const emulator::Options& run : kernel_runs())
    for (const KernelMath math : kMaths) {
      if (math == KernelMath::kF32 && c.m_tile > 64) continue;
      const WithOptions with(run);
      INFO(to_string(run) << " math " << int(math));
      CHECK(fault(math, c) == "");
    }
}

}  // namespace

TEST_CASE("simt: the gradient of a convolution's input equals the sum in double precision") {
  check_all(
      GENERATE(ConvGradCase{.h = 9, .w = 8, .c = 72, .k = 24, .kernel = 3, .pad = 1},
               ConvGradCase{.n = 2, .h = 9, .w = 7, .c = 24, .k = 16, .kernel = 3, .stride = 2, .pad = 1},
               ConvGradCase{.h = 8,
                            .w = 10,
                            .c = 8,
                            .k = 33,
                            .kernel = 3,
                            .stride = 2,
                            .pad = 1,
                            .before = 16,
                            .after = 8,
                            .accumulate = true},
               ConvGradCase{.h = 7, .w = 8, .c = 8, .k = 16, .kernel = 5, .stride = 2, .pad = 3},
               ConvGradCase{.h = 6, .w = 5, .c = 16, .k = 8, .kernel = 5, .before = 8},
               ConvGradCase{.n = 3, .h = 5, .w = 5, .c = 16, .k = 255},
               ConvGradCase{.h = 5, .w = 6, .c = 16, .k = 24, .stride = 2},
               ConvGradCase{.h = 5, .w = 6, .c = 16, .k = 24, .stride = 2, .accumulate = true},
               ConvGradCase{.stride = 2, .pad = 1, .accumulate = true},
               ConvGradCase{.n = 2, .h = 9, .w = 8, .c = 136, .k = 24, .m_tile = 128, .n_tile = 128},
               ConvGradCase{.n = 2, .h = 9, .w = 10, .c = 40, .k = 40, .m_tile = 128, .n_tile = 64}),
      dgrad_fault);
}

TEST_CASE("simt: the gradient of a convolution's weights equals the sum in double precision") {
  check_all(
      GENERATE(
          ConvGradCase{.n = 2, .h = 7, .w = 6, .c = 24, .k = 40, .kernel = 3, .pad = 1, .splits = 3},
          ConvGradCase{.n = 2,
                       .h = 9,
                       .w = 7,
                       .c = 8,
                       .k = 72,
                       .kernel = 3,
                       .stride = 2,
                       .pad = 1,
                       .splits = 7,
                       .torch = true},
          ConvGradCase{.h = 8,
                       .w = 10,
                       .c = 8,
                       .k = 33,
                       .kernel = 3,
                       .stride = 2,
                       .pad = 1,
                       .before = 16,
                       .after = 8,
                       .accumulate = true},
          ConvGradCase{.n = 9, .h = 3, .w = 2, .c = 16, .k = 8, .kernel = 5, .stride = 2, .pad = 2},
          ConvGradCase{
              .n = 2, .h = 11, .w = 9, .c = 4, .k = 32, .kernel = 3, .pad = 1, .splits = 3, .channels = 3},
          ConvGradCase{.n = 3, .h = 5, .w = 5, .c = 16, .k = 255, .splits = 3},
          ConvGradCase{.n = 2, .h = 9, .w = 5, .c = 136, .k = 136, .m_tile = 128, .n_tile = 128},
          ConvGradCase{.n = 2, .h = 9, .w = 10, .c = 40, .k = 72, .m_tile = 128, .n_tile = 64}),
      wgrad_fault);
}

TEST_CASE("simt: the gradient of a bias equals the sum in double precision") {
  check_all(GENERATE(ConvGradCase{.n = 3, .h = 5, .w = 5, .k = 255, .accumulate = true},
                     ConvGradCase{.n = 2, .h = 32, .w = 17, .k = 40}),
            bias_grad_fault);
}

TEST_CASE(
    "simt: parts of the gradient of weights are added in their order, and values not finite are flagged") {
  CHECK(wgrad_order_fault() == "");
  CHECK(wgrad_fault(KernelMath::kF16, {.h = 5, .w = 5, .infinite = true}) == "");
}

TEST_CASE("simt: gradients of a convolution are right when copies are early or mixed, and in every order") {
  const ConvGradCase c{.h = 9, .w = 8, .c = 16, .k = 24, .kernel = 3, .stride = 2, .pad = 1, .splits = 2};
  for (const emulator::AsyncMode mode : {emulator::AsyncMode::kEarly, emulator::AsyncMode::kMixed})
    for (int order = 0; order < 5; ++order) {
      emulator::Options o = emulator::options();
      o.async = mode;
      o.order = emulator::Order(order);
      const WithOptions with(o);
      INFO(to_string(o));
      CHECK(dgrad_fault(KernelMath::kF16, c) + wgrad_fault(KernelMath::kF16, c) == "");
    }
}

TEST_CASE(
    "simt: tiles of the gradients of a convolution meet no bank conflict, and their copies waste no sector") {
  emulator::Options o = emulator::options();
  o.count = true;
  const WithOptions with(o);
  for (const KernelMath math : kMaths) {
    emulator::reset_counters();
    const ConvGradCase c{.h = 8, .w = 8, .c = 64, .k = 64, .kernel = 2, .pad = 1};
    CHECK(dgrad_fault(math, c) == "");
    CHECK(wgrad_fault(math, c) == "");
    const emulator::Counters counted = emulator::counters();
    CHECK(counted.shared_phases > 100);
    CHECK(counted.shared_extra == 0);
    CHECK(counted.global_sectors == counted.global_ideal);
  }
}

TEST_CASE("simt: gradients of a convolution offer the configurations that run them, and refuse the rest") {
  alignas(16) static float memory[4];
  const KernelMap gy{memory, KernelType::kF16, 8, 40, 40, 256, 256},
      gx{memory, KernelType::kF16, 8, 80, 80, 128, 128};
  ConvDgradArgs d{
      .gy = gy, .weight = memory, .weight_stride = 1152, .kernel = 3, .stride = 2, .pad = 1, .gx = gx};
  ConvWgradArgs w{.gy = gy, .x = gx, .kernel = 3, .stride = 2, .pad = 1, .gw = memory};
  CHECK(conv_dgrad_configs(d, 132, 232448).front() == ConvConfig{128, 128, 4, 1});
  CHECK(conv_wgrad_configs(w, 132, 232448).front() == ConvConfig{128, 128, 4, 15});  // 264 blocks of 18 tiles
  w.config.splits = 15;
  CHECK(conv_wgrad_workspace(w) == size_t{15} * 256 * 1152 * 4);
  w.gy.c = 64;  // fewer rows than a large block has
  CHECK(conv_wgrad_configs(w, 132, 232448).front() == ConvConfig{64, 64, 4, 15});
  w.gy.c = 256;
  d.gx.h = 82;
  CHECK(std::string(conv_dgrad_refuses(d)).find("shapes") != std::string::npos);
  CHECK(conv_dgrad_configs(d, 132, 232448).empty());
  w.x.c = 12;
  CHECK(std::string(conv_wgrad_refuses(w)).find("16 bytes") != std::string::npos);
  w.groups = 2;
  CHECK(std::string(conv_wgrad_refuses(w)).find("groups") != std::string::npos);
  CHECK(error_of([&] { simt::conv_wgrad({}, w); }).find("groups") != std::string::npos);
  w.groups = 1, w.x.c = 128;
  CHECK(error_of([&] { simt::conv_wgrad({}, w); }).find("workspace") != std::string::npos);
}

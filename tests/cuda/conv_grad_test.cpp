#include "cuda/conv_grad.h"

#include "cuda/simt/counters.h"
#include "tests/cuda/conv_grad_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

constexpr KernelMath kMaths[] = {KernelMath::kF32, KernelMath::kTF32, KernelMath::kF16, KernelMath::kBF16};

// For every math under every run.
void check_all(const ConvGradCase& c, std::string (*fault)(KernelMath, const ConvGradCase&)) {
  const ConvGradCase::Shape& s = c.shape;
  INFO(fmt::format("n {} h {} w {} c {} k {} kernel {} stride {} pad {} groups {} splits {} tile {} x {}",
                   s.n, s.h, s.w, s.c, s.k, s.kernel, s.stride, s.pad, s.groups, c.splits, c.m_tile,
                   c.n_tile));
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
  const ConvGradCase cases[] = {
      {.shape = {1, 9, 8, 72, 24, 3, 1, 1}},
      {.shape = {2, 9, 7, 24, 16, 3, 2, 1}},
      {.shape = {1, 8, 10, 8, 33, 3, 2, 1}, .before = 16, .after = 8, .accumulate = true},
      {.shape = {1, 7, 8, 8, 16, 5, 2, 3}},
      {.shape = {1, 6, 5, 16, 8, 5, 1, 0}, .before = 8},
      {.shape = {3, 5, 5, 16, 255, 1, 1, 0}},
      {.shape = {1, 5, 6, 16, 24, 1, 2, 0}},  // most pixels meet no tap
      {.shape = {1, 5, 6, 16, 24, 1, 2, 0}, .accumulate = true},
      {.shape = {1, 1, 1, 8, 8, 1, 2, 1}, .accumulate = true},  // none does
      {.shape = {2, 9, 8, 136, 24, 1, 1, 0}, .m_tile = 128, .n_tile = 128},
      {.shape = {2, 9, 10, 40, 40, 1, 1, 0}, .m_tile = 128, .n_tile = 64}};
  for (const ConvGradCase& c : cases) check_all(c, dgrad_fault);
}

TEST_CASE("simt: the gradient of a convolution's weights equals the sum in double precision") {
  const ConvGradCase cases[] = {
      {.shape = {2, 7, 6, 24, 40, 3, 1, 1}, .splits = 3},
      {.shape = {2, 9, 7, 8, 72, 3, 2, 1}, .splits = 7, .torch = true},
      {.shape = {1, 8, 10, 8, 33, 3, 2, 1}, .before = 16, .after = 8, .accumulate = true},
      {.shape = {9, 3, 2, 16, 8, 5, 2, 2}},
      {.shape = {2, 11, 9, 4, 32, 3, 1, 1}, .splits = 3, .channels = 3},
      {.shape = {3, 5, 5, 16, 255, 1, 1, 0}, .splits = 3},
      {.shape = {2, 9, 5, 136, 136, 1, 1, 0}, .m_tile = 128, .n_tile = 128},
      {.shape = {2, 9, 10, 40, 72, 1, 1, 0}, .m_tile = 128, .n_tile = 64}};
  for (const ConvGradCase& c : cases) check_all(c, wgrad_fault);
}

TEST_CASE("simt: gradients of a convolution in groups equal the sums in double precision") {
  const ConvGradCase cases[] = {
      {.shape = {2, 5, 6, 40, 40, 3, 1, 1, 40}, .splits = 3},  // depthwise
      {.shape = {1, 9, 8, 8, 40, 3, 2, 1, 8}, .splits = 2, .before = 16, .after = 8, .accumulate = true},
      {.shape = {1, 6, 7, 8, 12, 5, 2, 3, 4}, .splits = 7, .torch = true},  // more parts than lines
      {.shape = {3, 5, 6, 16, 6, 1, 1, 0, 2}, .splits = 2, .channels = 3},
      {.shape = {1, 5, 6, 16, 16, 1, 2, 0, 2}, .accumulate = true}};
  for (const ConvGradCase& c : cases) {
    check_all(c, dgrad_fault);
    check_all(c, wgrad_fault);
  }
}

TEST_CASE("simt: the gradient of a bias equals the sum in double precision") {
  check_all({.shape = {3, 5, 5, 8, 255}, .accumulate = true}, bias_grad_fault);
  check_all({.shape = {2, 32, 17, 8, 40}}, bias_grad_fault);
}

TEST_CASE(
    "simt: parts of the gradient of weights are added in their order, and values not finite are flagged") {
  CHECK(wgrad_order_fault() == "");
  CHECK(wgrad_fault(KernelMath::kF16, {.shape = {1, 5, 5}, .infinite = true}) == "");
}

TEST_CASE("simt: gradients of a convolution are right when copies are early or mixed, and in every order") {
  const ConvGradCase c{.shape = {1, 9, 8, 16, 24, 3, 2, 1}, .splits = 2};
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
    const ConvGradCase c{.shape = {1, 8, 8, 64, 64, 2, 1, 1}};
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
  w.groups = 3;
  CHECK(std::string(conv_wgrad_refuses(w)).find("groups") != std::string::npos);
  CHECK(error_text([&] { simt::conv_wgrad({}, w); }).find("groups") != std::string::npos);
  w.x.c = 128, w.groups = 128;  // 8 warps of channels by 9 taps; 3.7 blocks for each of 132 multiprocessors
  CHECK(conv_wgrad_configs(w, 132, 232448).front() == ConvConfig{64, 64, 4, 4});
  w.groups = 1;
  CHECK(error_text([&] { simt::conv_wgrad({}, w); }).find("workspace") != std::string::npos);
}

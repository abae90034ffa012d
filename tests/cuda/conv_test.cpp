#include "cuda/conv.h"

#include "cuda/conv_config.h"
#include "cuda/conv_mma.h"
#include "cuda/simt/counters.h"
#include "tests/cuda/conv_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

constexpr KernelMath kMaths[] = {KernelMath::kF32, KernelMath::kTF32, KernelMath::kF16, KernelMath::kBF16,
                                 KernelMath::kS8};
constexpr size_t kShared = 227 << 10;

std::string text(const ConvCase& c) {
  return fmt::format(
      "n {} size {} c {} k {} kernel {} stride {} groups {} config {} x {}, {} stages, {} splits", c.n,
      c.size, c.c, c.k, c.kernel, c.stride, c.groups, c.config.m, c.config.n, c.config.stages,
      c.config.splits);
}

}  // namespace

TEST_CASE("simt: a convolution equals the direct sum in double precision, whatever the shape and math") {
  const auto c = GENERATE(
      ConvCase{.n = 3, .size = 5, .c = 64, .k = 80}, ConvCase{.size = 7, .c = 16, .k = 255, .kernel = 1},
      ConvCase{.n = 3, .size = 5, .c = 48, .k = 8, .kernel = 1, .stride = 2, .x_extra = 16},
      ConvCase{.size = 16, .c = 16, .real = 12, .k = 64, .stride = 2},
      ConvCase{.size = 7, .c = 80, .k = 8, .kernel = 5}, ConvCase{.size = 5, .c = 4, .real = 3, .k = 64},
      ConvCase{.n = 3, .size = 7, .c = 4, .real = 3, .k = 8, .stride = 2},
      ConvCase{.n = 2, .size = 20, .c = 16, .k = 72, .kernel = 1},
      ConvCase{.size = 5, .c = 4, .k = 80, .kernel = 1});
  for (const KernelMath math : kMaths) {
    INFO(text(c) << " math " << int(math));
    CHECK(conv_fault(math, c) == "");
  }
}

TEST_CASE("simt: a convolution is the same under every schedule, with copies late, early or mixed") {
  const ConvCase c{
      .size = 7, .c = 40, .k = 70, .stride = 2, .moments = true, .second = 4, .config = {64, 64, 4, 3}};
  for (emulator::Options run : kernel_runs())
    for (const emulator::AsyncMode mode :
         {emulator::AsyncMode::kLate, emulator::AsyncMode::kEarly, emulator::AsyncMode::kMixed}) {
      run.async = mode;
      const WithOptions with(run);
      INFO(to_string(run));
      for (const KernelMath math : {KernelMath::kF16, KernelMath::kF32}) CHECK(conv_fault(math, c) == "");
    }
}

TEST_CASE("simt: every configuration of a convolution that is offered computes it") {
  for (const KernelMath math : kMaths)
    for (const int channels : {4, 16, 40}) {
      if (channels == 40 && math != KernelMath::kF16) continue;
      ConvCase c{.size = 7, .c = channels, .k = 72, .moments = true};
      const auto configs = conv_configs(conv_args(math, c), 132, kShared);
      CHECK(configs.size() >= 6);
      for (const ConvConfig& config : configs) {
        if (channels == 40 && config.splits == 1) continue;
        c.config = config;
        INFO(text(c) << " math " << int(math));
        CHECK(conv_fault(math, c) == "");
      }
    }
}

TEST_CASE("simt: splits of a convolution's depth are added to the same result") {
  for (const int splits : {1, 3, 7})
    for (const KernelMath math : kMaths) {
      ConvCase c{.size = 5, .c = 64, .k = 40, .activation = KernelActivation::kSilu, .scaled = true};
      c.config.splits = splits;
      INFO(text(c) << " math " << int(math));
      CHECK(conv_fault(math, c) == "");
    }
}

TEST_CASE("simt: splits of a convolution are added in their order, whichever comes last") {
  emulator::Options o = emulator::options();
  o.order = emulator::Order::kBlockShuffle, o.repeat = 4, o.workers = 3;
  const WithOptions with(o);
  for (const KernelMath math : {KernelMath::kF32, KernelMath::kTF32})
    CHECK(conv_fault(math, {.size = 5, .c = 16, .k = 40, .moments = true, .config = {64, 64, 2, 7}}) == "");
}

TEST_CASE("simt: a convolution's results are scaled, activated, added to and rounded, whatever their type") {
  using enum KernelActivation;
  for (const KernelActivation activation : {kNone, kSilu, kLeakyRelu, kSigmoid, kRelu})
    for (const KernelMath math : kMaths)
      for (const KernelType out : {type_of(math), KernelType::kF32, KernelType::kF16}) {
        ConvCase c{.size = 5, .k = 37, .kernel = 1, .out = out, .activation = activation, .scaled = true};
        c.residual = out != KernelType::kS8;
        if (out == KernelType::kF16 && math != KernelMath::kS8) continue;
        INFO("activation " << int(activation) << " math " << int(math) << " out " << int(out));
        CHECK(conv_fault(math, c) == "");
      }
}

TEST_CASE("simt: a convolution writes slices of wider maps, a second destination and its enlargement") {
  for (const KernelMath math : {KernelMath::kF32, KernelMath::kF16, KernelMath::kS8})
    for (const int offset : {0, 3, 16})
      for (const int second : {0, 1, 4}) {
        ConvCase c{.n = 3, .size = 5, .k = 80, .scaled = true, .residual = true, .moments = true};
        c.y_offset = offset, c.y_extra = 32 - offset, c.second = second;
        INFO("math " << int(math) << " offset " << offset << " second " << second);
        CHECK(conv_fault(math, c) == "");
      }
}

TEST_CASE("simt: convolutions of several groups equal the direct sum") {
  for (const KernelMath math : kMaths)
    for (const int groups : {2, 16}) {
      ConvCase c{.n = 3, .k = 80, .groups = groups, .scaled = true, .moments = true, .second = 4};
      c.stride = groups == 2 ? 1 : 2, c.config = {0};
      INFO(text(c) << " math " << int(math));
      CHECK(conv_fault(math, c) == "");
    }
}

TEST_CASE("simt: tiles of a convolution meet no bank conflict, and its accesses waste no sector") {
  emulator::Options o = emulator::options();
  o.count = true;
  const WithOptions with(o);
  for (const ConvConfig& config :
       {ConvConfig{64, 64, 3, 3}, ConvConfig{128, 64}, ConvConfig{256, 32}, ConvConfig{128, 128}})
    for (const KernelMath math : {KernelMath::kTF32, KernelMath::kF16, KernelMath::kS8}) {
      ConvCase c{.c = 128 / bytes_of(type_of(math)), .k = 128, .out = type_of(math), .moments = true};
      c.kernel = config.splits, c.config = config;
      emulator::reset_counters();
      INFO(text(c) << " math " << int(math));
      CHECK(conv_fault(math, c) == "");
      const emulator::Counters counted = emulator::counters();
      CHECK(counted.shared_phases > 100);
      CHECK(counted.shared_extra == 0);
      CHECK(counted.global_sectors == counted.global_ideal);
    }
  emulator::reset_counters();
  for (const KernelMath math : {KernelMath::kF16, KernelMath::kS8})
    CHECK(conv_fault(math, {.size = 7, .c = 4, .k = 32, .config = {256, 32}}) == "");
  CHECK(emulator::counters().shared_extra == 0);
}

TEST_CASE("simt: divisions by a multiply-high are exact") {
  for (const uint32_t by : {1u, 2u, 3u, 7u, 20u, 400u, 65537u, 102400u, (1u << 31) - 1}) {
    const FastDivide d(by);
    for (const uint64_t n : {uint64_t{0}, uint64_t{by} - 1, uint64_t{by}, uint64_t{by} * 1000 - 1,
                             uint64_t{by} * 1000, (uint64_t{1} << 31) / by * by - 1, (uint64_t{1} << 31) - 1})
      if (n < uint64_t{1} << 31) CHECK((n * d.multiplier) >> d.shift == n / by);
  }
}

TEST_CASE("simt: the first configuration of a convolution fills the device") {
  const auto first = [](const ConvCase& c, int multiprocessors = 132) {
    return conv_configs(conv_args(KernelMath::kF16, c), multiprocessors, kShared).at(0);
  };
  const ConvConfig large = first({.n = 8, .size = 80, .c = 256, .k = 256});
  CHECK(large.m * large.n >= 128 * 128);
  CHECK(first({.size = 640, .c = 32, .k = 32}).n == 32);
  CHECK(first({.size = 20, .c = 512, .k = 512}).splits > 1);
  CHECK(first({.size = 20, .c = 512, .k = 512}, 8).splits == 1);
  for (const ConvConfig& config : conv_configs(conv_args(KernelMath::kF16, {}), 132, 48 << 10))
    CHECK(conv_shared_bytes({config.m, config.n}, config.stages) <= 48 << 10);
}

TEST_CASE("simt: a convolution refuses what no kernel computes, and says why") {
  const auto refused = [](const char* part, KernelType out, auto change) {
    ConvArgs a = conv_args(out == KernelType::kS8 ? KernelMath::kS8 : KernelMath::kF16, {.out = out});
    CHECK(conv_refuses(a) == nullptr);
    change(a);
    const char* why = conv_refuses(a);
    CHECK(conv_configs(a, 132, kShared).empty() == (why != nullptr));
    const std::string text = error_text([&] { TESTED(conv)({}, a); });
    INFO(text << " but not " << part);
    CHECK(text.find(part) != std::string::npos);
  };
  const KernelType half = KernelType::kF16;
  refused("1 to 15", half, [](ConvArgs& a) { a.kernel = 17; });
  refused("groups", half, [](ConvArgs& a) { a.groups = 3; });
  refused("as large", half, [](ConvArgs& a) { a.y.w = 3; });
  refused("shorter", half, [](ConvArgs& a) { a.weight_stride = 8; });
  refused("16 bytes", half, [](ConvArgs& a) { a.x.c = 12; });
  refused("math's type", half, [](ConvArgs& a) { a.y.type = KernelType::kS8; });
  refused("2^31", half, [](ConvArgs& a) { a.x.n = a.y.n = 1 << 30; });
  refused("2^27", half, [](ConvArgs& a) { a.x.pixel_stride = 1 << 27; });
  refused("second", half, [](ConvArgs& a) { a.second.data = &a, a.second.c = 7; });
  refused("residual", half, [](ConvArgs& a) { a.residual.data = &a, a.residual.c = 7; });
  refused("scale of its own", KernelType::kS8, [](ConvArgs& a) { a.residual.data = &a; });
  refused("null", half, [](ConvArgs&) {});
  alignas(16) static float memory[4];
  const auto bad_config = [&](const char* part, const ConvConfig& config) {
    refused(part, half,
            [&](ConvArgs& a) { a.x.data = a.y.data = memory, a.weight = memory, a.config = config; });
  };
  bad_config("compiled", {48, 64, 3, 1});
  bad_config("stages", {64, 64, 5, 1});
  bad_config("splits", {64, 64, 3, 40});
  bad_config("workspace", {64, 64, 3, 2});
}

#include "cuda/map_ops.h"

#include "cuda/image.h"
#include "cuda/map_grad.h"
#include "cuda/pool.h"
#include "cuda/simt/counters.h"
#include "tests/cuda/map_case.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

const KernelType kTypes[] = {KernelType::kF32, KernelType::kF16, KernelType::kBF16, KernelType::kS8};

}  // namespace

TEST_CASE(
    "simt: operations on maps and their gradients equal the reference, whatever the type, slice and "
    "schedule") {
  const auto type = GENERATE(from_range(std::begin(kTypes), std::end(kTypes)));
  const auto c = GENERATE(MapCase{.shape = {2, 3, 4, 6}, .after = 1}, MapCase{.shape = {1, 19, 2, 4}},
                          MapCase{.shape = {2, 32, 4, 2}, .before = 16, .after = 16},
                          MapCase{.shape = {1, 37, 10, 8}, .after = 11});
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    MapCase typed = c;
    typed.type = type;
    INFO(to_string(run) << " type " << int(type) << " channels " << c.shape[1]);
    CHECK(map_ops_fault(typed) == "");
    if (type != KernelType::kS8) CHECK(map_grad_fault(typed) == "");
  }
}

TEST_CASE("simt: no activation hides a NaN") {
  const MapCase c{.type = KernelType::kF16, .shape = {1, 8, 1, 3}};
  const Tensor nan = Tensor::full(c.shape, NAN, DType::kF64);
  for (int kind = 0; kind <= int(KernelActivation::kRelu); ++kind) {
    const TestMap x(c, nan);
    TESTED(activate)({}, KernelActivation(kind), x.map(), x.map());
    CHECK(x.fault(nan, 0) == "");
  }
}

TEST_CASE("simt: pools give the first maximum and its gradient, and a NaN where there is one") {
  const auto type = GENERATE(from_range(std::begin(kTypes), std::end(kTypes)));
  const auto c = GENERATE(
      PoolCase{{.shape = {2, 5, 7, 6}, .before = 1}}, PoolCase{{.shape = {2, 32, 5, 4}, .after = 16}},
      PoolCase{{.shape = {2, 80, 6, 21}, .before = 16}, 5, 1, 2},
      PoolCase{{.shape = {2, 13, 4, 3}, .before = 3}, 5, 1, 2}, PoolCase{{.shape = {2, 16, 6, 5}}, 3, 2, 1});
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    PoolCase typed = c;
    typed.map.type = type;
    INFO(to_string(run) << " type " << int(type) << " k " << c.k << " channels " << c.map.shape[1]);
    CHECK(pool_fault(typed, false) == "");
    if (type != KernelType::kS8) CHECK(pool_fault(typed, true) == "");
  }
}

TEST_CASE("simt: pictures become the network's input as on the CPU, bit for bit") {
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    for (const KernelType type : kTypes) {
      INFO(to_string(run) << " type " << int(type));
      CHECK(image_fault(type) == "");
    }
  }
}

TEST_CASE("simt: operations on aligned maps waste no sector, and the tiles of pools meet no bank conflict") {
  emulator::Options o = emulator::options();
  o.count = true;
  const WithOptions with(o);
  for (const KernelType type : {KernelType::kF32, KernelType::kF16, KernelType::kS8}) {
    const MapCase c{.type = type, .shape = {1, 64, 4, 20}};
    const TestMap x(c, map_values(type, c.shape, 1)), y(c, c.shape);
    emulator::reset_counters();
    simt::copy_map({}, x.map(), y.map());
    simt::max_pool({}, x.map(), 5, 1, 2, y.map());
    if (type != KernelType::kS8) {
      const SimtBuffer<uint8_t> workspace(scale_shift_grad_workspace(64));
      const SimtBuffer<float> sums(64);
      simt::activate({}, KernelActivation::kSilu, x.map(), y.map());
      simt::activate_grad({}, KernelActivation::kSilu, x.map(), y.map(), true, y.map());
      simt::scale_shift_grad({}, x.map(), nullptr, y.map(), false, {}, sums.get(), nullptr, workspace.get());
    }
    wait_for_tested();
    const emulator::Counters counted = emulator::counters();
    CHECK(counted.global_requests > 20);
    CHECK(counted.global_sectors == counted.global_ideal);
    CHECK(counted.shared_phases > 100);
    CHECK(counted.shared_extra == 0);
  }
}

TEST_CASE("simt: operations on maps refuse shapes and types that do not fit") {
  const MapCase c{.type = KernelType::kF16, .shape = {1, 8, 4, 4}};
  const TestMap x(c, map_values(c.type, c.shape, 1)), y(c, c.shape), small(c, {1, 8, 2, 2});
  const auto refused = [](auto&& f) { return error_text(f) != "no error"; };
  CHECK(refused([&] { simt::add({}, x.map(), small.map(), y.map()); }));
  CHECK(refused([&] { simt::upsample({}, x.map(), 2, y.map()); }));
  CHECK(refused([&] { simt::space_to_depth({}, x.map(), small.map()); }));
  CHECK(refused([&] { simt::max_pool({}, x.map(), 3, 1, 0, y.map()); }));
  CHECK(refused([&] { simt::cross_stitch({}, {}, nullptr, y.map()); }));
  CHECK(refused([&] { simt::normalise({}, x.map().data, KernelType::kU8, y.map()); }));
  CHECK(refused([&] { simt::letterbox({}, {}, y.map()); }));
}

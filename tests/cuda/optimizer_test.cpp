#include "cuda/optimizer.h"

#include <limits>

#include "tests/cuda/optimizer_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("simt: steps of the optimizer move values, moments and averages as the CPU's do") {
  const OptimizerCase cases[] = {
      {.rule = StepRule::kSgd, .bad_step = 1},
      {.rule = StepRule::kSgd, .sizes = {4, 1030, 3}, .copy = KernelType::kBF16, .most_norm = 0.5},
      {.rule = StepRule::kAdam, .sizes = {3, 21, 1}, .bad_step = 0},
      {.rule = StepRule::kAdamW, .most_norm = 1e6, .bad_step = 2},
  };
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    for (const OptimizerCase& c : cases) {
      INFO(to_string(run) << ", rule " << int(c.rule) << ", weights " << c.sizes[1]);
      CHECK(optimizer_fault(c) == "");
    }
  }
}

TEST_CASE("simt: the norm of many gradients is the sum in double precision, the same bits every time") {
  emulator::Options o = emulator::options();
  o.order = emulator::Order::kShuffle;
  o.repeat = 3;
  const WithOptions with(o);
  const std::vector<double> values = random_values(20003, 1, false);
  double want = 0;
  for (const double v : values) want += v * v;
  const SimtBuffer<float> g(std::vector<float>(values.begin(), values.end()));
  for (const int64_t first : {0, 1}) {
    const SimtBuffer<StepControl> control(std::vector<StepControl>(1, {.loss_scale = 1}));
    const int64_t n = int64_t(values.size()) - first;
    const SimtBuffer<double> workspace(gradient_squares_workspace(n) / sizeof(double));
    TESTED(gradient_squares)({}, g.get() + first, n, control.get(), workspace.get());
    CHECK(control.values()[0].squares == Approx(want - double(first) * values[0] * values[0]).epsilon(1e-12));
    CHECK(control.values()[0].non_finite == 0);
  }
}

TEST_CASE("simt: the loss scale doubles after 2000 clean steps, halves after a bad one, and has limits") {
  struct Move {
    float scale;
    int clean;
    bool bad, dynamic;
    float scale_after;
    int clean_after;
  };
  const Move moves[] = {{65536, 1998, false, true, 65536, 1999},  {65536, 1999, false, true, 131072, 0},
                        {65536, 1999, true, true, 32768, 0},      {1, 5, true, true, 1, 0},
                        {0x1p31f, 1999, false, true, 0x1p31f, 0}, {1, 1999, true, false, 1, 1999}};
  for (const Move& m : moves) {
    const SimtBuffer<StepControl> control(
        std::vector<StepControl>(1, {.loss_scale = m.scale, .clean_steps = m.clean, .non_finite = m.bad}));
    const SimtBuffer<StepRates> rates(std::vector<StepRates>(1));
    const SimtBuffer<StepFactors> factors(1);
    const SimtBuffer<int64_t> counts(std::vector<int64_t>(1, 4));
    BeginStepArgs args{.control = control.get(), .dynamic_scale = m.dynamic, .groups = 1};
    args.rates = rates.get(), args.factors = factors.get(), args.counts = counts.get();
    TESTED(begin_step)({}, args);
    const StepControl after = control.values()[0];
    INFO("scale " << m.scale << ", clean steps " << m.clean << ", bad " << m.bad);
    CHECK(after.loss_scale == m.scale_after);
    CHECK(after.clean_steps == m.clean_after);
    CHECK(after.gradient_factor == 1 / m.scale);
    CHECK(after.skip == m.bad);
    CHECK(after.non_finite == 0);
    CHECK(counts.values()[0] == (m.bad ? 4 : 5));
  }
}

TEST_CASE("simt: a nan or inf among the gradients is found wherever it stands") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const size_t at : {0, 1023, 8191, 8192, 9000}) {
      std::vector<float> values(9001, 1);
      values[at] = bad;
      const SimtBuffer<float> g(values);
      const SimtBuffer<StepControl> control(std::vector<StepControl>(1));
      const SimtBuffer<double> workspace(2);
      TESTED(gradient_squares)({}, g.get(), 9001, control.get(), workspace.get());
      CHECK(control.values()[0].non_finite == 1);
    }
}

TEST_CASE("simt: a step of the optimizer refuses what it cannot run") {
  const SimtBuffer<float> memory(8);
  const SimtBuffer<StepControl> control(std::vector<StepControl>(1));
  OptimizerStepArgs args{.control = control.get(), .n = 8, .values = memory.get()};
  CHECK(error_text([&] { simt::optimizer_step({}, args); }).find("first moment") != std::string::npos);
  args = {.rule = StepRule::kNone, .control = control.get(), .n = 8, .values = memory.get()};
  args.copy = memory.get(), args.copy_type = KernelType::kS8;
  CHECK(error_text([&] { simt::optimizer_step({}, args); }).find("f16 or bf16") != std::string::npos);
}

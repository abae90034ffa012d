#include "train/schedule.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::train;
using test::error_text;

namespace {

// 100 epochs of 50 batches without warm-up unless a test asks for it.
ScheduleParams params(LrSchedule kind) {
  ScheduleParams p;
  p.kind = kind;
  p.epochs = 100;
  p.batches_per_epoch = 50;
  p.warmup_epochs = 0;
  return p;
}

}  // namespace

TEST_CASE("train: the factor of the rate starts at 1 and ends near lrf") {
  const Schedule cosine(params(LrSchedule::kCosine));
  CHECK(cosine.factor(0) == 1);
  CHECK(cosine.factor(50) == Approx(0.55));
  CHECK(cosine.factor(25) == Approx((1 - std::cos(std::numbers::pi / 4)) / 2 * -0.9 + 1));
  const Schedule linear(params(LrSchedule::kLinear));
  CHECK(linear.factor(0) == 1);
  CHECK(linear.factor(99) == Approx(0.1));
  const Schedule step(params(LrSchedule::kStep));
  CHECK(step.factor(66) == 1);
  CHECK(step.factor(67) == Approx(std::sqrt(0.1)));
  CHECK(step.factor(89) == Approx(0.1));
  ScheduleParams one = params(LrSchedule::kLinear);
  one.epochs = 1;
  CHECK(Schedule(one).factor(0) == 1);
}

TEST_CASE(
    "train: the plateau schedule halves the rate after ten epochs without growth and its state survives") {
  Schedule s(params(LrSchedule::kPlateau));
  s.end_epoch(0.5);
  for (int i = 0; i < 10; ++i) s.end_epoch(0.5);
  CHECK(s.factor(11) == 1);
  Schedule resumed(params(LrSchedule::kPlateau));
  resumed.restore(s.state());
  resumed.end_epoch(0.50001);  // less than 1e-4 of it more
  CHECK(resumed.factor(12) == 0.5);
  resumed.end_epoch(0.6);
  for (int i = 0; i < 100; ++i) resumed.end_epoch(0.6);
  CHECK(resumed.factor(112) == 0.1);  // lrf
  resumed.scale_rates(0.5);
  Schedule again(params(LrSchedule::kPlateau));
  again.restore(resumed.state());
  CHECK(again.rates(5000, 100).lr[0] == Approx(0.01 * 0.1 * 0.5));
  CHECK(error_text([&] { again.restore(Document::map({})); }) == "the state of the schedule has no scale");
}

TEST_CASE("train: warm-up interpolates rates, momentum and accumulation, and ends where they go on") {
  ScheduleParams p = params(LrSchedule::kCosine);
  p.warmup_iterations = 100;
  p.total_batch = 16;
  const Schedule s(p);
  const Rates first = s.rates(0, 0), quarter = s.rates(25, 0), last = s.rates(100, 2),
              after = s.rates(101, 2);
  CHECK(first.lr == std::array<double, 3>{0, 0, 0.1});
  CHECK(first.momentum == 0.8);
  CHECK(first.accumulate == 1);
  CHECK(quarter.lr[1] == Approx(0.0025));
  CHECK(quarter.lr[2] == Approx(0.0775));
  CHECK(quarter.momentum == Approx(0.83425));
  CHECK(quarter.accumulate == 2);  // 1.75
  for (size_t group = 0; group < 3; ++group) CHECK(last.lr[group] == Approx(after.lr[group]));
  CHECK(last.momentum == after.momentum);
  CHECK(after.accumulate == 4);
  p.momentum_warmup = false;
  CHECK(Schedule(p).rates(0, 0).momentum == 0.937);
}

TEST_CASE(
    "train: warm-up lasts at least 1000 iterations but no more than half of the run, unless v7 is asked "
    "for") {
  ScheduleParams p = params(LrSchedule::kCosine);
  p.warmup_epochs = 3;
  CHECK(Schedule(p).warmup_iterations() == 1000);
  CHECK(Schedule(p).message().empty());
  p.batches_per_epoch = 2000;
  CHECK(Schedule(p).warmup_iterations() == 6000);
  p.batches_per_epoch = 10;
  CHECK(Schedule(p).warmup_iterations() == 500);
  CHECK(Schedule(p).message() == "warm-up of 1000 iterations cut to 500, half of the run");
  p.run_iterations = 60;  // --max-steps
  CHECK(Schedule(p).warmup_iterations() == 30);
  p.compat = compat_by_name("v7");
  CHECK(Schedule(p).warmup_iterations() == 1000);
  CHECK(Schedule(p).message().empty());
}

TEST_CASE("train: v7's rate lags one epoch once warm-up is over") {
  ScheduleParams p = params(LrSchedule::kLinear);
  p.warmup_iterations = 120;  // ends inside epoch 2
  p.compat.lagging_rate = true;
  const Schedule lagging(p);
  p.compat.lagging_rate = false;
  const Schedule ours(p);
  CHECK(lagging.rates(60, 1).lr == ours.rates(60, 1).lr);
  CHECK(lagging.rates(149, 2).lr[0] == Approx(0.01 * ours.factor(2)));
  CHECK(lagging.rates(150, 3).lr[0] == Approx(0.01 * ours.factor(2)));
  CHECK(ours.rates(150, 3).lr[0] == Approx(0.01 * ours.factor(3)));
}

TEST_CASE("train: accumulation rounds halves to even and is at least 1") {
  CHECK(accumulation(24, 64) == 3);   // 2.67
  CHECK(accumulation(128, 64) == 1);  // 0.5
  CHECK(accumulation(40, 64) == 2);   // 1.6
  CHECK(accumulation(16, 40) == 2);   // 2.5
  CHECK(accumulation(16, 56) == 4);   // 3.5
}

TEST_CASE("train: our window counts micro-batches and steps at the end of an epoch, v7's counts iterations") {
  const auto steps = [](const Compat& compat) {
    Window window(compat);
    std::vector<int64_t> stepped;
    for (int64_t ni = 0; ni < 10; ++ni) {
      if (ni % 5 == 0) window.start_epoch();
      if (window.step_after(ni, 2, ni % 5 == 4)) stepped.push_back(ni);
    }
    return stepped;
  };
  CHECK(steps({}) == std::vector<int64_t>{1, 3, 4, 6, 8, 9});
  CHECK(steps(Compat::v7()) == std::vector<int64_t>{0, 2, 4, 6, 8});
}

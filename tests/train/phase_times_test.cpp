#include "train/phase_times.h"

#include <catch2/catch.hpp>

using namespace mtyolo::train;

TEST_CASE("train: the line of times gives shares of the steps and seconds of the rest", "[train]") {
  CHECK(time_line({0.5, 9, 0.5, 4, 0.25, 2, 0}) ==
        "time: steps 10.00 s (forward, loss and backward 90.0 %, weight updates 5.0 %, waiting for data 5.0 "
        "%), validation 4.00 s, tables and checkpoints 0.25 s, pictures and reports 2.00 s, everything else "
        "0.00 s");
  CHECK(time_line({}).starts_with("time: steps 0.00 s (forward, loss and backward 0.0 %"));
}

TEST_CASE("train: a phase within a phase takes its time from it, and the outer one goes on", "[train]") {
  PhaseClock clock;
  const auto began = std::chrono::steady_clock::now();
  {
    const PhaseClock::Scope outer(clock, Phase::kValidation);
    {
      const PhaseClock::Scope inner(clock, Phase::kReports);
      while (std::chrono::steady_clock::now() - began < std::chrono::milliseconds(5)) {
      }
    }
    CHECK(clock.enter(Phase::kValidation) == Phase::kValidation);
  }
  CHECK(clock.enter(Phase::kElse) == Phase::kElse);
  const PhaseSeconds s = clock.seconds();
  CHECK(s[size_t(Phase::kReports)] > s[size_t(Phase::kElse)]);
  CHECK(s[size_t(Phase::kReports)] >= 0.004);
  CHECK(s[size_t(Phase::kWait)] == 0);
}

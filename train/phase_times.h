// Where the time of a run goes: every moment belongs to one phase.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace mtyolo::train {

enum class Phase : uint8_t { kWait, kCompute, kUpdate, kValidation, kSaving, kReports, kElse };
inline constexpr std::array kPhaseNames{
    "waiting for data",       "forward, loss and backward", "weight updates", "validation",
    "tables and checkpoints", "pictures and reports",       "everything else"};
using PhaseSeconds = std::array<double, kPhaseNames.size()>;  // by Phase

class PhaseClock {
 public:
  // The phase while it lives; then the one before goes on.
  class Scope {
   public:
    Scope(PhaseClock& clock, Phase phase) : clock_(clock), before_(clock.enter(phase)) {}
    ~Scope() { clock_.enter(before_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseClock& clock_;
    Phase before_;
  };

  // Ends the current phase; returns it.
  Phase enter(Phase phase) {
    const auto now = std::chrono::steady_clock::now();
    seconds_[size_t(phase_)] += std::chrono::duration<double>(now - std::exchange(since_, now)).count();
    return std::exchange(phase_, phase);
  }
  const PhaseSeconds& seconds() {
    enter(phase_);
    return seconds_;
  }

 private:
  PhaseSeconds seconds_{};
  Phase phase_ = Phase::kElse;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

// "time: steps 31.0 s (waiting for data 0.4 %, ...); validation 4.1 s, ..."
std::string time_line(const PhaseSeconds& seconds);

}  // namespace mtyolo::train

#include "train/phase_times.h"

#include <fmt/format.h>

#include <algorithm>

namespace mtyolo::train {

std::string time_line(const PhaseSeconds& seconds) {
  const auto of = [&](Phase p) { return seconds[size_t(p)]; };
  const auto name = [](Phase p) { return kPhaseNames[size_t(p)]; };
  const double steps = of(Phase::kCompute) + of(Phase::kUpdate) + of(Phase::kWait);
  std::string line = fmt::format("time: steps {:.2f} s (", steps);
  for (const Phase p : {Phase::kCompute, Phase::kUpdate, Phase::kWait})
    line += fmt::format("{}{} {:.1f} %", p == Phase::kCompute ? "" : ", ", name(p),
                        100 * of(p) / std::max(steps, 1e-9));
  line += ")";
  for (const Phase p : {Phase::kValidation, Phase::kSaving, Phase::kReports, Phase::kElse})
    line += fmt::format(", {} {:.2f} s", name(p), of(p));
  return line;
}

}  // namespace mtyolo::train

// The race checker for the tests that link its hooks.
#pragma once

#include <string>

namespace mtyolo::test {

// Turned on for its lifetime, one worker, races named by file and line (addr2line, as every linker brings
// it).
class WithRaceChecker {
 public:
  WithRaceChecker();
  ~WithRaceChecker();
  WithRaceChecker(const WithRaceChecker&) = delete;
  WithRaceChecker& operator=(const WithRaceChecker&) = delete;
};

}  // namespace mtyolo::test

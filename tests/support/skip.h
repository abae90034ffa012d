// Catch2 2.13 has no SKIP: a test that cannot run here says why and returns; its process then exits with 77,
// which ctest counts as skipped, never as passed.
#pragma once

#include <string>

namespace mtyolo::test {

inline constexpr int kSkipExitCode = 77;
inline constexpr int kNoDeviceExitCode = 78;  // tests/cuda/on_gpu: no other test can run either
void note_skip(const std::string& reason);
bool skipped();

// The same from within a function: ends the test case.
[[noreturn]] void leave_out(const std::string& reason);
int left_out();  // cases ended so, each of which Catch counts as a failure

}  // namespace mtyolo::test

#define MTYOLO_SKIP(reason)            \
  do {                                 \
    ::mtyolo::test::note_skip(reason); \
    return;                            \
  } while (false)

// Catch2 2.13 has no SKIP: a test that cannot run here says why and returns; its process then exits with 77,
// which ctest counts as skipped, never as passed.
#pragma once

#include <string>

namespace mtyolo::test {

inline constexpr int kSkipExitCode = 77;
void note_skip(const std::string& reason);
bool skipped();

}  // namespace mtyolo::test

#define MTYOLO_SKIP(reason)            \
  do {                                 \
    ::mtyolo::test::note_skip(reason); \
    return;                            \
  } while (false)

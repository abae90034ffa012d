#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "tests/support/skip.h"

int main(int argc, char** argv) {
  const int failed = Catch::Session().run(argc, argv) - mtyolo::test::left_out();
  if (failed == 0 && mtyolo::test::skipped()) return mtyolo::test::kSkipExitCode;
  return failed;
}

// Runs something that must throw Error and returns what it said.
#pragma once

#include <catch2/catch.hpp>

#include "core/error.h"

namespace mtyolo::test {

template <class F>
ErrorInfo refused(F&& run) {
  try {
    run();
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kModel);
    return e.info();
  }
  return {ExitCode::kDone, "accepted", "accepted", {}, {}, {}};
}

}  // namespace mtyolo::test

#include "tests/support/skip.h"

#include <iostream>

namespace mtyolo::test {
namespace {
bool any_skipped = false;
}

void note_skip(const std::string& reason) {
  any_skipped = true;
  std::cout << "skipped: " << reason << std::endl;
}

bool skipped() { return any_skipped; }

}  // namespace mtyolo::test

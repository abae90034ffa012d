#include "tests/support/skip.h"

#include <iostream>
#include <stdexcept>

namespace mtyolo::test {
namespace {
bool any_skipped = false;
int cases_left_out = 0;
}  // namespace

void note_skip(const std::string& reason) {
  any_skipped = true;
  std::cout << "skipped: " << reason << std::endl;
}

bool skipped() { return any_skipped; }

void leave_out(const std::string& reason) {
  note_skip(reason);
  ++cases_left_out;
  throw std::runtime_error("skipped: " + reason);
}

int left_out() { return cases_left_out; }

}  // namespace mtyolo::test

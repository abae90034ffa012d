#include "tests/golden/kinds.h"

namespace mtyolo::test {

void run_detect_case(const GoldenCase&) { throw GoldenNotBuilt("kind detect is not built yet"); }

}  // namespace mtyolo::test

#include "tests/golden/kinds.h"

namespace mtyolo::test {

void run_multitask_case(const GoldenCase&) { throw GoldenNotBuilt("kind multitask is not built yet"); }

}  // namespace mtyolo::test

#include "tests/golden/kinds.h"

namespace mtyolo::test {

void run_checkpoint_case(const GoldenCase&) { throw GoldenNotBuilt("kind checkpoint is not built yet"); }

}  // namespace mtyolo::test

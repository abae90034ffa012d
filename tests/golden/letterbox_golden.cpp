#include "tests/golden/kinds.h"

namespace mtyolo::test {

void run_letterbox_case(const GoldenCase&) { throw GoldenNotBuilt("kind letterbox is not built yet"); }

}  // namespace mtyolo::test

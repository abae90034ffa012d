#include "models/module.h"

namespace mtyolo::models {

int expand_reorg(const ModuleCall& call) {
  call.expect_arguments(0);
  return call.builder.space_to_depth(call.scope, call.x());
}

}  // namespace mtyolo::models

// Concat and Shortcut (graph.md 3.1).
#include "models/module.h"

namespace mtyolo::models {

int expand_concat(const ModuleCall& call) {
  call.expect_arguments(1);
  if (call.whole(0, "the axis", 1, -4, 3) != 1)
    call.builder.fail_row("Concat along another axis than 1, the channels");
  return call.builder.concat(call.scope, call.inputs);
}

// The axis is not used and neither are inputs after the second.
int expand_shortcut(const ModuleCall& call) {
  call.expect_arguments(1);
  if (call.inputs.size() < 2) call.builder.fail_row("Shortcut reads one row, expected two");
  return call.builder.add(call.scope, call.inputs[0], call.inputs[1]);
}

}  // namespace mtyolo::models

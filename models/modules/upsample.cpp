// nn.Upsample(None, 2, 'nearest').
#include "models/module.h"

namespace mtyolo::models {

int expand_upsample(const ModuleCall& call) {
  constexpr int kMaxScale = 16;
  call.expect_arguments(3);
  const std::vector<CfgArg>& args = call.row.args;
  if (!args.empty() && args[0].kind != CfgArg::Kind::kNull)
    call.builder.fail_row("an upsampling to a fixed size, expected None and a factor");
  if (args.size() > 2 && (args[2].kind != CfgArg::Kind::kText || args[2].text != "nearest"))
    call.builder.fail_row("the upsampling mode is not 'nearest'");
  return call.builder.upsample(call.scope, call.x(), call.whole(1, "the factor", 2, 1, kMaxScale));
}

}  // namespace mtyolo::models

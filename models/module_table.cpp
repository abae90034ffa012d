#include "core/text.h"
#include "models/module.h"

namespace mtyolo::models {
namespace {

const std::vector<ModuleEntry>& module_table() {
  using enum ModuleKind;
  static const std::vector<ModuleEntry> kTable{
      {"Conv", kChannelled, expand_conv},
      {"DWConv", kChannelled, expand_dw_conv},
      {"Focus", kChannelled, expand_focus},
      {"Stem", kChannelled, expand_stem},
      {"RepConv", kChannelled, expand_rep_conv},
      {"MP", kPlain, expand_mp},
      {"SP", kPlain, expand_sp},
      {"SPP", kChannelled, expand_spp},
      {"SPPF", kChannelled, expand_sppf},
      {"SPPCSPC", kCounted, expand_sppcspc},
      {"DownC", kCounted, expand_down_c},
      {"ReOrg", kPlain, expand_reorg},
      {"nn.Upsample", kPlain, expand_upsample},
      {"Concat", kMulti, expand_concat},
      {"Shortcut", kMulti, expand_shortcut},
      {"Bottleneck", kChannelled, expand_bottleneck},
      {"BottleneckCSPA", kCounted, expand_csp},
      {"BottleneckCSPB", kCounted, expand_csp},
      {"BottleneckCSPC", kCounted, expand_csp},
      {"Res", kChannelled, expand_res},
      {"ResCSPA", kCounted, expand_csp},
      {"ResCSPB", kCounted, expand_csp},
      {"ResCSPC", kCounted, expand_csp},
      {"ResX", kChannelled, expand_res_x},
      {"ResXCSPA", kCounted, expand_csp},
      {"ResXCSPB", kCounted, expand_csp},
      {"ResXCSPC", kCounted, expand_csp},
      {"Detect", kHead, nullptr},
      {"IDetect", kHead, nullptr},
      {"IAuxDetect", kHead, nullptr},
  };
  return kTable;
}

}  // namespace

const ModuleEntry& find_module(const GraphBuilder& builder, const std::string& name) {
  std::vector<std::string> names;
  for (const ModuleEntry& entry : module_table()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  builder.fail_row(fmt::format("unknown module {}{}", quoted(name), did_you_mean(name, names)),
                   fmt::format("known are {}", fmt::join(names, ", ")));
}

}  // namespace mtyolo::models

#include <map>

#include "core/text.h"
#include "models/module.h"

namespace mtyolo::models {
namespace {

using Kind = CfgArg::Kind;

bool given(const ModuleCall& call, size_t index) {
  return index < call.row.args.size() && call.row.args[index].kind != Kind::kNull;
}

double number_of(const ModuleCall& call, const CfgArg& arg, const char* what) {
  if (arg.kind == Kind::kNumber) return arg.number;
  if (arg.kind == Kind::kBool) return arg.flag ? 1 : 0;  // as Python counts them
  if (arg.kind == Kind::kText && arg.text == "nc") return call.builder.cfg().nc;
  call.builder.fail_row(fmt::format("{} is {}, expected a number", what,
                                    arg.kind == Kind::kText ? quoted(arg.text) : "a list"));
}

int whole_of(const ModuleCall& call, const CfgArg& arg, const char* what, int low, int high) {
  const double value = number_of(call, arg, what);
  if (!(value >= low && value <= high) || value != double(int(value)))
    call.builder.fail_row(fmt::format("{} is {}, expected a whole number in {}..{}", what, value, low, high));
  return int(value);
}

// "nn.LeakyReLU(0.1)", "nn.SiLU()", "nn.ReLU(inplace=True)": a name of a fixed list and at most one number.
ops::Activation parse_activation(const ModuleCall& call, const std::string& text) {
  using ops::ActivationKind;
  static const std::map<std::string, ActivationKind, std::less<>> kNames{
      {"nn.SiLU", ActivationKind::kSilu},         {"nn.LeakyReLU", ActivationKind::kLeakyRelu},
      {"nn.ReLU", ActivationKind::kRelu},         {"nn.Hardswish", ActivationKind::kHardswish},
      {"nn.Identity", ActivationKind::kIdentity}, {"nn.Sigmoid", ActivationKind::kSigmoid}};
  const std::string_view all = text;
  const size_t open = all.find('(');
  const auto it = kNames.find(all.substr(0, open));
  const bool shaped = open != std::string_view::npos && all.ends_with(')');
  if (it == kNames.end() || !shaped)
    call.builder.fail_row(
        fmt::format("the activation {} is not known", quoted(text)),
        "use nn.SiLU(), nn.LeakyReLU(0.1), nn.ReLU(), nn.Hardswish(), nn.Sigmoid() or nn.Identity()");
  ops::Activation activation{it->second, 0.01f};  // 0.01 is PyTorch's default slope
  for (std::string_view part : split(all.substr(open + 1, all.size() - open - 2), ',')) {
    part = trim(part);
    if (part.empty() || part.starts_with("inplace=") || part == "True" || part == "False") continue;
    if (part.starts_with("negative_slope=")) part.remove_prefix(part.find('=') + 1);
    const auto slope = parse_double(part);
    if (!slope || it->second != ActivationKind::kLeakyRelu || *slope < 0 || *slope > 1)
      call.builder.fail_row(fmt::format("{} is not an argument of {}", quoted(part), quoted(it->first)));
    activation.slope = float(*slope);
  }
  return activation;
}

}  // namespace

int ModuleCall::whole(size_t index, const char* what, int missing, int low, int high) const {
  return given(*this, index) ? whole_of(*this, row.args[index], what, low, high) : missing;
}

bool ModuleCall::flag(size_t index, const char* what, bool missing) const {
  return given(*this, index) ? number_of(*this, row.args[index], what) != 0 : missing;
}

double ModuleCall::real(size_t index, const char* what, double missing, double low, double high) const {
  if (!given(*this, index)) return missing;
  const double value = number_of(*this, row.args[index], what);
  if (!(value >= low && value <= high))
    builder.fail_row(fmt::format("{} is {}, expected a number in {}..{}", what, value, low, high));
  return value;
}

std::vector<int> ModuleCall::wholes(size_t index, const char* what, std::vector<int> missing, int low,
                                    int high) const {
  constexpr size_t kMaxItems = 16;
  if (!given(*this, index)) return missing;
  const CfgArg& arg = row.args[index];
  if (arg.kind != Kind::kList) return {whole_of(*this, arg, what, low, high)};
  if (arg.items.empty() || arg.items.size() > kMaxItems)
    builder.fail_row(fmt::format("{} is a list of {}, expected 1..{}", what, arg.items.size(), kMaxItems));
  std::vector<int> values;
  for (const CfgArg& item : arg.items) values.push_back(whole_of(*this, item, what, low, high));
  return values;
}

ops::Activation ModuleCall::act(size_t index) const {
  const ops::Activation silu{ops::ActivationKind::kSilu};
  if (index >= row.args.size()) return silu;
  const CfgArg& arg = row.args[index];
  if (arg.kind == Kind::kText) return parse_activation(*this, arg.text);
  return arg.kind == Kind::kBool && arg.flag ? silu : ops::Activation{};
}

void ModuleCall::expect_arguments(size_t at_most) const {
  if (row.args.size() > at_most)
    builder.fail_row(fmt::format("{} arguments, expected at most {}", row.args.size(), at_most));
}

}  // namespace mtyolo::models

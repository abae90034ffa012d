#include "ops/impls.h"

#include <algorithm>

#include "core/text.h"

namespace mtyolo::ops {

void Impls::force(const std::string& op_equals_name) {
  const size_t equals = op_equals_name.find('=');
  const std::string op = op_equals_name.substr(0, equals);
  std::vector<std::string> known;
  for (const auto& [name, list] : names_) known.push_back(name);
  const auto it = names_.find(op);
  if (equals == std::string::npos || it == names_.end())
    fail(ExitCode::kUsage, "usage", "--impl {}: expected OP=NAME with OP one of {}{}", quoted(op_equals_name),
         fmt::join(known, ", "), did_you_mean(op, known));
  const std::string name = op_equals_name.substr(equals + 1);
  if (std::find(it->second.begin(), it->second.end(), name) == it->second.end())
    fail(ExitCode::kUsage, "usage", "--impl {}: {} has the implementations {}{}", quoted(op_equals_name), op,
         fmt::join(it->second, ", "), did_you_mean(name, it->second));
  forced_[op] = name;
}

std::string Impls::forced(const std::string& op) const {
  const auto it = forced_.find(op);
  return it == forced_.end() ? "" : it->second;
}

}  // namespace mtyolo::ops

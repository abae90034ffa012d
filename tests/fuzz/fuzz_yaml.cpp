// YAML: an accepted text keeps the limits, a refused one gives an Error and nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/yaml.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_limits(const mtyolo::Document& root) {
  std::vector<std::pair<const mtyolo::Document*, int>> left{{&root, 1}};
  size_t nodes = 0;
  while (!left.empty()) {
    const auto [node, depth] = left.back();
    left.pop_back();
    require(depth <= mtyolo::kMaxYamlDepth + 1 && ++nodes <= mtyolo::kMaxYamlNodes);
    for (const auto& item : node->items) left.emplace_back(&item, depth + 1);
    for (const auto& [key, value] : node->fields) {
      require(node->find(key) == &value);  // keys are unique
      left.emplace_back(&value, depth + 1);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    check_limits(mtyolo::parse_yaml({reinterpret_cast<const char*>(data), size}, "fuzz.yaml"));
  } catch (const mtyolo::Error& e) {
    require(e.exit_code() == mtyolo::ExitCode::kUsage);
  }
  return 0;
}

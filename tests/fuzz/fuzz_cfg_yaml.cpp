// Hostile model descriptions, official and compact, through the reader and the builder. Accepted means: nodes
// read earlier nodes, the tensors' names differ, the sizes keep their limits, and shapes can be asked for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <unordered_set>

#include "core/log.h"
#include "core/yaml.h"
#include "models/graph_builder.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_graph(const mtyolo::models::Graph& graph) {
  using namespace mtyolo::models;
  require(!graph.heads.empty() && graph.nodes.size() <= kMaxNodes);
  require(graph.parameter_count() >= 0 && graph.parameter_count() <= kMaxParameters);
  for (const GraphNode& node : graph.nodes)
    for (const int input : node.inputs) require(input >= 0 && input < node.id);
  std::unordered_set<std::string> names;
  for (const ParamInfo& param : graph.params) require(names.insert(param.name).second);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  log::configure(log::Level::kOff);
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const models::Cfg cfg = models::cfg_from_document(parse_yaml(text, "fuzz.yaml"), "fuzz.yaml");
    const models::Graph graph = models::build_graph(cfg);
    check_graph(graph);
    require(models::infer_shapes(graph, 1, 2 * graph.max_stride, graph.max_stride).size() ==
            graph.nodes.size());
  } catch (const Error& e) {
    require(e.exit_code() == ExitCode::kUsage);
  }
  return 0;
}

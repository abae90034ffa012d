// Hostile model descriptions, official and compact, through the reader and the builder. Accepted means: nodes
// read earlier nodes, the tensors' names differ, the sizes keep their limits, shapes can be asked for, and
// the sharing between heads is written as it was read.
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
  for (const Coupling& c : graph.couplings) require(names.contains(c.first) && names.contains(c.second));
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
    if (cfg.nc > 1 && cfg.nc <= 100) {  // the same with two heads, whatever they share
      models::BuildOptions options;
      options.heads = {{"a", {0}}, {"b", {}}};
      for (int c = 1; c < cfg.nc; ++c) options.heads[1].classes.push_back(c);
      check_graph(models::build_graph(cfg, options));
      require(models::cfg_from_document(models::with_sharing(cfg, cfg.sharing).document, "again").sharing ==
              cfg.sharing);
    }
    require(models::infer_shapes(graph, 1, 2 * graph.max_stride, graph.max_stride).size() ==
            graph.nodes.size());
  } catch (const Error& e) {
    require(e.exit_code() == ExitCode::kUsage);
  }
  return 0;
}

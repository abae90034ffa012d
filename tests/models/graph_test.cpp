// Names, order and shapes of state dicts against what PyTorch wrote (goldens/checkpoint).
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "models/graph_builder.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

namespace mtyolo::models {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

json case_of(const fs::path& folder) { return json::parse(std::ifstream(folder / "case.json")); }

Shape shape_of(const json& sizes) {
  Shape shape;
  for (const auto& s : sizes) shape.push_back(s.get<int64_t>());
  return shape;
}

Graph graph_for(const Cfg& cfg, const json& info) {
  std::set<std::string> names;
  for (const auto& entry : info["state_dict"]) names.insert(entry["name"]);
  BuildOptions options;
  options.has_tensor = [names](const std::string& name) { return names.contains(name); };
  return build_graph(cfg, options);
}

void check_entries(const Graph& graph, const json& info) {
  const json& entries = info["state_dict"];
  REQUIRE(graph.params.size() == entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    CHECK(graph.params[i].name == entries[i]["name"].get<std::string>());
    CHECK(graph.params[i].shape == shape_of(entries[i]["shape"]));
  }
}

void check_model(const Graph& graph, const json& model) {
  CHECK(graph.parameter_count() == model["parameters"].get<int64_t>());
  const Head& head = graph.heads.at(0);
  CHECK(head.type == model["head"].get<std::string>());
  CHECK(head.nc() == model["nc"].get<int>());
  CHECK(head.strides == model["stride"].get<std::vector<float>>());
  REQUIRE(graph.rows.size() == model["layers"].size());
  for (size_t i = 0; i < graph.rows.size(); ++i) {
    const std::string type = model["layers"][i]["type"];
    CHECK(graph.rows[i].module == (type == "Upsample" ? "nn.Upsample" : type));
    CHECK(graph.rows[i].parameters == model["layers"][i]["params"].get<int64_t>());
  }
}

TEST_CASE("graph: state dicts have PyTorch's names, order and shapes") {
  const fs::path folder = test::shared_folder() / "goldens/checkpoint";
  if (!fs::exists(folder)) MTYOLO_SKIP("no shared folder");
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!fs::exists(entry.path() / "case.json")) continue;
    const json info = case_of(entry.path());
    const std::string name = entry.path().filename();
    const bool shipped = name == "yolov7" || name == "yolov7-tiny";
    if (!info.contains("state_dict") || (!info.contains("cfg") && !shipped)) continue;
    INFO(name);
    const Cfg cfg =
        shipped ? shipped_cfg(name) : cfg_from_file(entry.path() / info["cfg"].get<std::string>());
    const Graph graph = graph_for(cfg, info);
    check_entries(graph, info);
    if (info.contains("model")) check_model(graph, info["model"]);
    ++compared;
  }
  CHECK(compared >= 5);
}

TEST_CASE("graph: a fused model is told by its tensors, its implicit terms are kept but not applied") {
  const fs::path folder = test::shared_folder() / "goldens/checkpoint";
  if (!fs::exists(folder / "fused_model_object")) MTYOLO_SKIP("no shared folder");
  const json info = case_of(folder / "fused_model_object");
  const Graph graph = graph_for(cfg_from_file(folder / "state_dict_only/cfg.yaml"), info);
  std::set<std::string> expected, got;
  for (const auto& entry : info["state_dict"]) expected.insert(entry["name"]);
  for (const ParamInfo& p : graph.params) got.insert(p.name);
  CHECK(got == expected);
  for (const GraphNode& node : graph.nodes) {
    CHECK_FALSE(std::holds_alternative<ops::ScaleShift>(node.attrs));
    CHECK_FALSE(std::holds_alternative<ops::BatchNorm>(node.attrs));
  }
}

TEST_CASE("graph: RepConv registers its identity first and adds dense, 1x1 and identity") {
  Cfg cfg = shipped_cfg("yolov7");
  CfgRow rep = cfg.rows[102];
  rep.args[0].number = 128;  // row 75 has 128 channels: an identity branch appears
  cfg.rows[102] = rep;
  const Graph graph = build_graph(cfg);
  std::vector<std::string> names;
  for (const ParamInfo& p : graph.params)
    if (p.name.starts_with("model.102.")) names.push_back(p.name);
  REQUIRE(names.size() == 17);
  CHECK(names[0] == "model.102.rbr_identity.weight");
  CHECK(names[5] == "model.102.rbr_dense.0.weight");
  CHECK(names[16] == "model.102.rbr_1x1.1.num_batches_tracked");
}

TEST_CASE("graph: inputs come before users and every node names its row") {
  for (const std::string& name : shipped_cfg_names()) {
    INFO(name);
    const Graph graph = build_graph(shipped_cfg(name));
    int last_row = -1;
    for (const GraphNode& node : graph.nodes) {
      for (const int input : node.inputs) CHECK(input < node.id);
      CHECK(node.row >= last_row);
      last_row = node.row;
    }
  }
}

TEST_CASE("graph: anchors run with the strides whatever their order in the cfg") {
  Cfg cfg = shipped_cfg("yolov7");
  std::reverse(cfg.anchors.begin(), cfg.anchors.end());
  const Graph graph = build_graph(cfg);
  CHECK(graph.heads[0].anchors[0][0] == 12);
  CHECK(std::get<ops::DetectDecode>(graph.nodes[size_t(graph.heads[0].decode[2])].attrs).anchors[4] == 459);
}

TEST_CASE("graph: sizes that do not fit the strides are refused with the row") {
  try {
    infer_shapes(build_graph(shipped_cfg("yolov7")), 1, 640, 650);
    FAIL();
  } catch (const Error& e) {
    const std::string text = e.what();
    CHECK(text.find("(Concat)") != std::string::npos);
    CHECK(text.find("multiples of the largest stride") != std::string::npos);
  }
}

}  // namespace
}  // namespace mtyolo::models

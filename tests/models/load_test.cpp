// load_model on the files PyTorch wrote (goldens/checkpoint).
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/model.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

namespace mtyolo::models {
namespace {

namespace fs = std::filesystem;

TEST_CASE("load_model: every readable golden gives a model with all its tensors") {
  const fs::path folder = test::shared_folder() / "goldens/checkpoint";
  if (!fs::exists(folder)) MTYOLO_SKIP("no shared folder");
  int loaded = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!fs::exists(entry.path() / "case.json")) continue;
    const auto info = nlohmann::json::parse(std::ifstream(entry.path() / "case.json"));
    if (info["expect"] != "loads" || info["name"] == "tensor_kinds") continue;
    INFO(entry.path());
    // State dicts bring no description: their cfg stands beside them.
    const bool described = info.contains("top_level_keys") || info.contains("model") || !info.contains("cfg");
    const std::string cfg = described ? "" : (entry.path() / info["cfg"].get<std::string>()).string();
    const Model model = load_model(entry.path() / info["file"].get<std::string>(), cfg);
    CHECK(model.transfer.transferred == model.transfer.total);
    CHECK(model.transfer.skipped.empty());
    CHECK(size_t(model.transfer.total) == info["state_dict"].size());
    if (info.contains("model")) {
      CHECK(model.graph.names == info["model"]["names"].get<std::vector<std::string>>());
      CHECK(model.graph.heads[0].strides == info["model"]["stride"].get<std::vector<float>>());
      CHECK(double(model.graph.heads[0].anchors[0][0]) ==
            info["model"]["anchors_in_pixels"][0][0][0].get<double>());
      CHECK(double(model.graph.heads[0].anchors.back().at(4)) ==
            info["model"]["anchors_in_pixels"].back()[2][0].get<double>());
      CHECK(model.graph.parameter_count() == info["model"]["parameters"].get<int64_t>());
    }
    ++loaded;
  }
  CHECK(loaded >= 5);
}

}  // namespace
}  // namespace mtyolo::models

#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/command.h"
#include "tests/support/temp_folder.h"

using namespace mtyolo::test;
namespace fs = std::filesystem;

TEST_CASE(
    "demo: makes data, trains two heads, finds, exports and validates; --json prints the metrics alone") {
  const TempFolder folder;
  const fs::path out = fs::path(folder.path()) / "x";
  const auto r = run_mtyolo({"demo", "--out", out.string(), "--images", "24", "--epochs", "2", "--json"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  const nlohmann::json metrics = nlohmann::json::parse(r.out);
  CHECK(metrics["kind"] == "metrics");
  CHECK(metrics["heads"].size() == 2);
  CHECK(metrics["heads"].contains("sky"));
  CHECK(metrics["heads"]["ground"]["labels"].get<int>() > 5);
  for (const char* file : {"weights/best.pt", "weights/last.pt", "results.csv", "report.html", "model.onnx",
                           "val/metrics.json", "data/scenes.yaml", "infer"})
    CHECK(fs::exists(out / file));
  CHECK(r.err.find("./mtyolo train") != std::string::npos);

  const auto again =
      run_mtyolo({"val", (out / "data/scenes.yaml").string(), "--weights", (out / "weights/best.pt").string(),
                  "--img-size", "128", "--metric", "v7", "--json", "--project", (out / "again").string()});
  REQUIRE(again.exit_code == 0);
  CHECK(nlohmann::json::parse(again.out)["all"]["mAP50"] == metrics["all"]["mAP50"]);
}

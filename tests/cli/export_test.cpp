// mtyolo export through the command: what it prints, writes and refuses.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/export/onnx_run.h"
#include "models/model.h"
#include "tests/cli/command.h"
#include "tests/support/skip.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

namespace {

std::string tiny_weights(const TempFolder& folder) {
  const std::string path = folder.path("tiny.pt");
  models::write_pt(
      path, models::checkpoint_from_model(models::model_from_cfg(models::shipped_cfg("yolov7-tiny"), 5)));
  return path;
}

}  // namespace

TEST_CASE("export: writes beside the weights and ends with a verify line") {
  if (!models::onnx_is_available()) MTYOLO_SKIP("built without onnx and protobuf");
  const TempFolder folder;
  const CommandResult r = run_mtyolo({"export", tiny_weights(folder), "--img-size", "64", "--batch", "2"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  CHECK_THAT(r.out,
             Catch::Contains("tiny.onnx: 23.") && Catch::Contains("images[2,3,64,64] -> output[2,252,85]\n"));
  CHECK_THAT(r.out, Catch::Contains("verify ") && Catch::Contains("max abs difference"));
  CHECK(models::read_onnx(folder.path("tiny.onnx")).outputs[0].shape == Shape{2, 252, 85});
}

TEST_CASE("export: --json gives one document with outputs and the difference") {
  if (!models::onnx_is_available()) MTYOLO_SKIP("built without onnx and protobuf");
  const TempFolder folder;
  const std::string out = folder.path("raw.onnx");
  const CommandResult r = run_mtyolo({"export", tiny_weights(folder), "--json", "--decode", "raw",
                                      "--img-size", "32", "--opset", "13", "--out", out});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d.at("kind") == "export");
  CHECK(d.at("path") == out);
  CHECK(d.at("outputs").at(2) == json({{"name", "output_p5"}, {"shape", {1, 3, 1, 1, 85}}}));
  CHECK(d.at("verify").at("max_difference") < 1e-4);
}

TEST_CASE("export: a difference above the tolerance is exit 5, and --no-verify skips the comparison") {
  if (!models::onnx_is_available()) MTYOLO_SKIP("built without onnx and protobuf");
  const TempFolder folder;
  const std::string weights = tiny_weights(folder);
  const CommandResult bad = run_mtyolo({"export", weights, "--img-size", "32", "--tolerance", "0"});
  CHECK(bad.exit_code == 5);
  CHECK(bad.out.empty());
  CHECK_THAT(bad.err, Catch::Contains("to the native forward pass (tolerance 0"));
  const CommandResult unchecked =
      run_mtyolo({"export", weights, "--img-size", "32", "--tolerance", "0", "--no-verify"});
  CHECK(unchecked.exit_code == 0);
  CHECK(unchecked.out.find("verify") == std::string::npos);
}

TEST_CASE("export: formats and forms that are not built are refused by name before the weights are read") {
  const CommandResult ncnn = run_mtyolo({"export", "absent.pt", "--format", "ncnn"});
  CHECK(ncnn.exit_code == 2);
  CHECK_THAT(ncnn.err,
             Catch::Contains("the format 'ncnn' is not part of this version; this version writes onnx"));
  CHECK_THAT(run_mtyolo({"export", "absent.pt", "--format", "onx"}).err,
             Catch::Contains("did you mean 'onnx'?"));
  const CommandResult decode = run_mtyolo({"export", "absent.pt", "--decode", "end2end"});
  CHECK(decode.exit_code == 2);
  CHECK_THAT(decode.err, Catch::Contains("end2end"));
  CHECK(run_mtyolo({"export", "absent.pt", "--dynamic"}).exit_code == 2);
}

// mtyolo export through the command: what it prints, writes and refuses.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/export/onnx_run.h"
#include "models/model.h"
#include "tests/cli/command.h"
#include "tests/cli/weights_files.h"
#include "tests/support/golden.h"
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
  CHECK_THAT(ncnn.err, Catch::Contains(
                           "the format 'ncnn' is not part of this version; this version writes onnx and pt"));
  CHECK_THAT(run_mtyolo({"export", "absent.pt", "--format", "onx"}).err,
             Catch::Contains("did you mean 'onnx'?"));
  const CommandResult decode = run_mtyolo({"export", "absent.pt", "--decode", "end2end"});
  CHECK(decode.exit_code == 2);
  CHECK_THAT(decode.err, Catch::Contains("end2end"));
  CHECK(run_mtyolo({"export", "absent.pt", "--dynamic"}).exit_code == 2);
}

TEST_CASE("export: --format pt is the plain dict of all tensors in f32, bit for bit") {
  const TempFolder folder;
  const models::Model model = small_model("yolov7", 2);
  models::Checkpoint half = models::checkpoint_from_model(model);
  half.model = {};
  for (const auto& [name, tensor] : model.weights.entries())
    half.model.add(name, is_floating(tensor.dtype()) ? tensor.to(DType::kF16) : tensor);
  models::write_pt(folder.path("a.pt"), half);
  const CommandResult r = run_mtyolo({"export", folder.path("a.pt"), "--format", "pt", "--json"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d.at("format") == "pt");
  CHECK(d.at("path") == folder.path("a_state_dict.pt"));
  CHECK(d.at("tensors") == model.weights.size());
  const models::Checkpoint read = models::read_checkpoint(d.at("path"));
  CHECK(read.top_level_keys.empty());  // nothing around the dict
  REQUIRE(read.model.size() == half.model.size());
  for (size_t i = 0; i < read.model.size(); ++i) {
    const auto& [name, tensor] = half.model.entries()[i];
    INFO(name);
    CHECK(read.model.entries()[i].first == name);
    CHECK(bit_equal(read.model.entries()[i].second,
                    is_floating(tensor.dtype()) ? tensor.to(DType::kF32) : tensor));
  }
  CHECK(read.model.contains("model.0.bn.num_batches_tracked"));
  CHECK(read.model.contains("model.105.anchor_grid"));
}

TEST_CASE("export: --format pt has the names and order of yolov7's own state dict") {
  const auto goldens = shared_folder() / "goldens/checkpoint";
  if (!std::filesystem::exists(goldens)) MTYOLO_SKIP("no golden data");
  const TempFolder folder;
  for (const char* file : {"nano/nano.pt", "e6e-narrow/e6e-narrow.pt"}) {
    INFO(file);
    const std::string source = (goldens / file).string(), out = folder.path("out.pt");
    REQUIRE(run_mtyolo({"export", source, "--format", "pt", "--out", out}).exit_code == 0);
    const auto names = [](const models::StateDict& tensors) {
      std::vector<std::string> all;
      for (const auto& [name, tensor] : tensors.entries()) all.push_back(name);
      return all;
    };
    CHECK(names(models::read_checkpoint(out).model) == names(models::read_checkpoint(source).model));
  }
}

TEST_CASE("export: --format pt keeps two heads apart and refuses what does not belong to it") {
  const TempFolder folder;
  const std::string weights = folder.path("a.pt");
  write_weights(weights, models::split_heads(small_model("yolov7-tiny", 3), {{"a", {2}}, {"b", {0, 1}}}));
  REQUIRE(run_mtyolo({"export", weights, "--format", "pt"}).exit_code == 0);
  const models::Checkpoint read = models::read_checkpoint(folder.path("a_state_dict.pt"));
  CHECK(read.model.find("heads.a.model.77.m.0.bias")->shape() == Shape{18});
  CHECK(read.model.find("heads.b.model.77.m.0.bias")->shape() == Shape{21});
  const auto refused = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"export", weights, "--format", "pt"};
    words.insert(words.end(), more.begin(), more.end());
    return run_mtyolo(words);
  };
  CHECK(refused({"--out", weights}).exit_code == 2);
  CHECK(refused({"--out", folder.path("a.onnx")}).exit_code == 2);
  CHECK_THAT(refused({"--decode", "raw"}).err, Catch::Contains("--decode says how an ONNX file is made"));
  CHECK_THAT(refused({"--no-verify"}).err, Catch::Contains("--verify says how an ONNX file is made"));
  CHECK_THAT(run_mtyolo({"export", weights, "--format", "onnx,pt"}).err,
             Catch::Contains("2 formats are given"));
}

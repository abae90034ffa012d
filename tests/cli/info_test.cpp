#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "models/weights/digest.h"
#include "tests/cli/command.h"
#include "tests/cli/weights_files.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

TEST_CASE("info: a shipped cfg has the rows, parameters and work of graph.md section 8") {
  const json d = json::parse(run_mtyolo({"info", "yolov7-tiny", "--layers", "--json"}).out);
  CHECK(d["kind"] == "info");
  CHECK(d["parameters"] == 6228762);
  CHECK(d["parameters_deploy"] == 6219709);
  CHECK(d["gflops"].get<double>() == Approx(13.70).margin(0.005));
  REQUIRE(d["layers"].size() == 78);
  CHECK(d["layers"][77]["module"] == "IDetect");
  CHECK(d["layers"][77]["output"] == json{1, 25200, 85});
  CHECK(d["layers"][0]["output"] == json{1, 32, 320, 320});
  const CommandResult text = run_mtyolo({"info", "yolov7-w6", "--img-size", "1280", "--flops"});
  CHECK(text.out.find("in deploy form") != std::string::npos);
  CHECK(text.out.find("359.72") != std::string::npos);
}

TEST_CASE("info: --tensors lists averaged weights and optimizer under their prefixes, with sums and hashes") {
  const TempFolder scratch;
  const models::Model model = small_model("yolov7-tiny", 2);
  models::Checkpoint c = models::checkpoint_from_model(model);
  c.ema = small_model("yolov7-tiny", 2, 9).weights;
  c.optimizer.add("optimizer.state.0.momentum_buffer", Tensor::full({2, 3}, -0.5));
  c.epoch = 4;
  models::write_pt(scratch.path("a.pt"), c);
  const json d = json::parse(run_mtyolo({"info", scratch.path("a.pt"), "--tensors", "--json"}).out);
  CHECK(d["epoch"] == 4);
  REQUIRE(d["tensors"].size() == 344 + 344 + 1);
  const auto expected = models::digest_of("model.0.conv.weight", *model.weights.find("model.0.conv.weight"));
  CHECK(d["tensors"][0] == json{{"name", "model.0.conv.weight"},
                                {"dtype", "float32"},
                                {"shape", {8, 3, 3, 3}},
                                {"sum", expected.sum},
                                {"abs_sum", expected.abs_sum},
                                {"sha256", expected.sha256}});
  CHECK(d["tensors"][344]["name"] == "ema.model.0.conv.weight");
  CHECK(d["tensors"][688]["name"] == "optimizer.state.0.momentum_buffer");
  CHECK(d["tensors"][688]["sum"] == -3.0);
  CHECK(d["tensors"][688]["abs_sum"] == 3.0);
  const CommandResult summary = run_mtyolo({"info", scratch.path("a.pt")});
  CHECK(summary.out.find("344 weights, 344 averaged, 1 of the optimizer") != std::string::npos);
  CHECK(summary.out.find("344/344 tensors") != std::string::npos);
}

TEST_CASE("info: memory and implementations of a network") {
  const json d = json::parse(run_mtyolo({"info", "yolov7-tiny", "--memory", "--impls", "--json", "--img-size",
                                         "320", "--impl", "conv2d=cpu.reference"})
                                 .out);
  CHECK(d["memory"]["arena_bytes"] < d["memory"]["arena_without_sharing_bytes"]);
  CHECK(d["memory"]["peak_bytes"] > d["memory"]["weights_bytes"]);
  REQUIRE(d["impls"].size() == 58);
  CHECK(d["impls"][0]["convolution"] == "3x3 s2 3->32");
  CHECK(d["impls"][0]["unfused"] == "cpu.reference");
  CHECK(d["impls"][0]["passed_over"].get<std::string>().find("cpu.igemm: another one is forced") !=
        std::string::npos);
  CHECK(d["impls"][0]["plan"] == "none");
  const json free = json::parse(run_mtyolo({"info", "yolov7-tiny", "--impls", "--json"}).out);
  CHECK(free["impls"][0]["plan"].get<std::string>().starts_with("blocked.igemm."));
  CHECK(free["impls"][4]["plan"].get<std::string>().starts_with("blocked.winograd."));
  const json low =
      json::parse(run_mtyolo({"info", "yolov7-tiny", "--memory", "--impls", "--json", "--low-memory"}).out);
  CHECK(low["impls"][4]["plan"].get<std::string>().starts_with("blocked.igemm."));
  CHECK(low["memory"]["weights_bytes"] < d["memory"]["weights_bytes"]);
}

TEST_CASE("info: a run folder stands for its best weights, else its last ones") {
  const TempFolder scratch;
  std::filesystem::create_directories(scratch.path("exp/weights"));
  const CommandResult empty = run_mtyolo({"info", scratch.path("exp")});
  CHECK(empty.exit_code == 4);
  CHECK(empty.err.find("has neither weights/best.pt nor weights/last.pt") != std::string::npos);
  write_weights(scratch.path("exp/weights/last.pt"), small_model("yolov7-tiny", 2));
  CHECK(run_mtyolo({"info", scratch.path("exp")}).out.find("exp/weights/last.pt") != std::string::npos);
  write_weights(scratch.path("exp/weights/best.pt"), small_model("yolov7-tiny", 2));
  CHECK(run_mtyolo({"info", scratch.path("exp")}).out.find("exp/weights/best.pt") != std::string::npos);
}

TEST_CASE("info: what is no checkpoint is refused in one line with exit 4") {
  const TempFolder scratch;
  const auto refusal = [&](const std::string& bytes) {
    write_file_atomically(scratch.path("x.pt"), bytes);
    const CommandResult r = run_mtyolo({"info", scratch.path("x.pt")});
    CHECK(r.exit_code == 4);
    CHECK(r.out.empty());
    CHECK(std::count(r.err.begin(), r.err.end(), '\n') == 1);
    return r.err;
  };
  CHECK(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0\n").find("Git LFS pointer") !=
        std::string::npos);
  CHECK(refusal("<!DOCTYPE html><html></html>").find("HTML page") != std::string::npos);
  CHECK(refusal("").find("is empty") != std::string::npos);
  write_weights(scratch.path("good.pt"), small_model("yolov7-tiny", 2));
  std::string bytes = read_file(scratch.path("good.pt"), size_t(1) << 24);
  CHECK_FALSE(refusal(bytes.substr(0, bytes.size() / 2)).empty());
  // The manifest is not needed for loading, its checksum is looked at all the same.
  const size_t manifest = bytes.find("\"format\": \"mtyolo/1\"");
  REQUIRE(manifest != std::string::npos);
  bytes[manifest + 1] = 'F';
  CHECK(refusal(bytes).find("manifest.json") != std::string::npos);
}

TEST_CASE("info: a classifier's weights fit no network, but their tensors are listed") {
  const TempFolder scratch;
  models::Checkpoint c;
  c.model.add("layer1.0.conv1.weight", Tensor::full({4, 3, 3, 3}, 1));
  c.model.add("fc.weight", Tensor::full({10, 4}, 2));
  models::write_safetensors(scratch.path("resnet.safetensors"), c);
  const CommandResult r = run_mtyolo({"info", scratch.path("resnet.safetensors")});
  CHECK(r.exit_code == 4);
  CHECK(r.err.find(
            "none of the 2 tensors ('layer1.0.conv1.weight', ...) has the name and shape of a YOLOv7's") !=
        std::string::npos);
  CHECK(std::count(r.err.begin(), r.err.end(), '\n') == 1);
  const CommandResult listed = run_mtyolo({"info", scratch.path("resnet.safetensors"), "--tensors"});
  CHECK(listed.exit_code == 0);
  CHECK(listed.out.find("fc.weight float32 [10,4] 80 80 ") != std::string::npos);
}

TEST_CASE("info: unknown names, missing files and tables without a subject are refused") {
  const CommandResult name = run_mtyolo({"info", "yolov7-tnyi"});
  CHECK(name.exit_code == 2);
  CHECK(name.err.find("did you mean 'yolov7-tiny'?") != std::string::npos);
  CHECK(run_mtyolo({"info", "missing.yaml"}).exit_code == 2);
  CHECK(run_mtyolo({"info", "missing.pt"}).exit_code == 4);
  CHECK(run_mtyolo({"info", "--layers"}).exit_code == 2);
  CHECK(run_mtyolo({"info", "yolov7-tiny", "--tensors"}).exit_code == 2);
}

TEST_CASE("info: --verbose lists the limits of every reader") {
  const json d = json::parse(run_mtyolo({"info", "--json", "--verbose"}).out);
  CHECK(d["limits"]["zip_entries"] == 1000000);
  CHECK(d["limits"]["pickle_depth"] == 200);
  CHECK(d["limits"]["image_pixels"] == 100000000);
}

TEST_CASE("info: --impls knows what the plan runs in bf16") {
  const CommandResult r =
      run_mtyolo({"info", "yolov7-tiny", "--impls", "--json", "--dtype", "bf16", "--device", "cpu"});
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out)["impls"];
  CHECK(d[0]["plan"].get<std::string>().starts_with("blocked.igemm."));  // reads the image
  CHECK(d[1]["plan"].get<std::string>().starts_with("blocked.igemm_bf16."));
  CHECK(std::any_of(d.begin(), d.end(), [](const json& f) {
    return f["plan"].get<std::string>().starts_with("blocked.winograd.");
  }));
}

TEST_CASE("info: --impls names what runs each step on a device, siblings together") {
  const CommandResult r = run_mtyolo(
      {"info", "demo", "--impls", "--json", "--img-size", "64", "--device", "simt", "--dtype", "fp16"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out)["impls"];
  CHECK(d[0]["plan"] == "simt.normalise");
  CHECK(d[1]["plan"].get<std::string>().starts_with("simt.igemm "));
  CHECK(std::any_of(d.begin(), d.end(), [](const json& f) {
    return f["node"].get<std::string>().find(" + ") != std::string::npos;
  }));
}

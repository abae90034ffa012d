#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "tests/cli/command.h"
#include "tests/cli/weights_files.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

namespace {

constexpr const char* kTwoHeads =
    "names: [c0, c1, c2, c3]\nheads: {a: {classes: 1}, b: {classes: [0, 2, 3]}}\n";

}  // namespace

TEST_CASE("import: takes every tensor over in the type it is stored in and says so") {
  const TempFolder scratch;
  models::Model model = small_model("yolov7-tiny", 4);
  models::Checkpoint half = models::checkpoint_from_model(model);
  half.model = {};
  for (const auto& [name, t] : model.weights.entries())
    half.model.add(name, t.dtype() == DType::kF32 ? t.to(DType::kF16) : t);
  half.hyp = Document::map({{"lr0", Document::scalar("0.01")}});
  models::write_pt(scratch.path("a.pt"), half);
  const CommandResult r =
      run_mtyolo({"import", scratch.path("a.pt"), "--out", scratch.path("b.pt"), "--strict"});
  CHECK(r.exit_code == 0);
  CHECK(r.err.empty());
  CHECK(r.out.find("Transferred 344/344 tensors\n") != std::string::npos);
  CHECK(r.out.find("read back bit for bit") != std::string::npos);
  const models::Checkpoint again = models::read_checkpoint(scratch.path("b.pt"));
  REQUIRE(again.model.size() == half.model.size());
  for (const auto& [name, t] : half.model.entries()) CHECK(bit_equal(t, *again.model.find(name)));
  CHECK(again.names == std::vector<std::string>{"c0", "c1", "c2", "c3"});
  CHECK(again.hyp.find("lr0") != nullptr);
  CHECK(run_mtyolo({"import", scratch.path("b.pt"), "--out", scratch.path("c.safetensors")}).exit_code == 0);
  CHECK(models::load_model(scratch.path("c.safetensors")).transfer.transferred == 344);
}

TEST_CASE("import: --heads makes the heads of a data file, the same once more changes nothing") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 4));
  write_file_atomically(scratch.path("two.yaml"), kTwoHeads);
  const CommandResult r = run_mtyolo({"import", scratch.path("a.pt"), "--heads", scratch.path("two.yaml"),
                                      "--out", scratch.path("two.pt"), "--json"});
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "import");
  CHECK(d["transferred"] == 344);
  CHECK(d["heads"] == json{{"a", {"c1"}}, {"b", {"c0", "c2", "c3"}}});
  const models::Model split = models::load_model(scratch.path("two.pt"));
  CHECK(split.weights.contains("heads.a.model.77.m.0.weight"));
  CHECK(split.weights.contains("model.0.conv.weight"));
  CHECK(run_mtyolo({"import", scratch.path("two.pt"), "--heads", scratch.path("two.yaml"), "--out",
                    scratch.path("again.pt")})
            .exit_code == 0);
  const models::Checkpoint again = models::read_checkpoint(scratch.path("again.pt"));
  CHECK(again.model.size() == split.weights.size());
  for (const auto& [name, t] : again.model.entries()) CHECK(bit_equal(t, *split.weights.find(name)));
}

TEST_CASE("import: --sharing makes any sharing of one head, and says what went where") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 4));
  write_file_atomically(scratch.path("two.yaml"), kTwoHeads);
  const auto import = [&](const char* from, const char* to, std::vector<std::string> words) {
    words.insert(words.begin(), {"import", scratch.path(from), "--out", scratch.path(to)});
    return run_mtyolo(words);
  };
  const std::string two = scratch.path("two.yaml");
  const CommandResult r =
      import("a.pt", "soft.pt", {"--heads", two, "--sharing", "soft", "--cross-stitch", "11,24"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  CHECK(r.out.find("sharing: soft, cross-stitch after rows 11, 24\n") != std::string::npos);
  CHECK(r.out.find("Transferred 344/346 tensors of head b\n") != std::string::npos);
  CHECK(run_mtyolo({"info", scratch.path("soft.pt")}).out.find("computes every head's rows up to 24") !=
        std::string::npos);
  CHECK(import("soft.pt", "hard.pt", {"--sharing", "hard", "--share-until", "40"}).exit_code == 0);
  CHECK(models::load_model(scratch.path("hard.pt")).weights.contains("heads.a.model.42.conv.weight"));
  CHECK(models::load_model(scratch.path("hard.pt")).weights.contains("model.40.conv.weight"));
  for (const auto& words : {std::vector<std::string>{"--sharing", "soft"},
                            {"--heads", two, "--sharing", "hard", "--share-until", "77"},
                            {"--heads", two, "--couple", "0-5"},
                            {"--heads", two, "--sharing", "soft", "--couple", "9-5"}}) {
    const CommandResult bad = import("a.pt", "bad.pt", words);
    INFO(bad.err);
    CHECK(bad.exit_code == 2);
    CHECK(std::count(bad.err.begin(), bad.err.end(), '\n') == 1);
  }
}

TEST_CASE("import: a data file with other classes is a usage error that names both sides") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 4));
  write_file_atomically(scratch.path("other.yaml"), "names: [c0, c1, c2, cow]\nheads: {a: 0, b: 1-3}\n");
  const CommandResult r = run_mtyolo({"import", scratch.path("a.pt"), "--heads", scratch.path("other.yaml"),
                                      "--out", scratch.path("two.pt")});
  CHECK(r.exit_code == 2);
  CHECK(r.out.empty());
  CHECK(r.err.find("'cow'") != std::string::npos);
  CHECK(r.err.find("the data file has no 'c3'") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(scratch.path("two.pt")));
  CHECK(run_mtyolo({"import", scratch.path("a.pt"), "--heads", scratch.path("missing.yaml"), "--out",
                    scratch.path("two.pt")})
            .exit_code == 3);
}

TEST_CASE("import: what does not fit is listed with both shapes; --strict refuses it and writes nothing") {
  const TempFolder scratch;
  const models::Model model = small_model("yolov7-tiny", 4);
  models::Checkpoint c = models::checkpoint_from_model(model);
  c.model = {};
  for (const auto& [name, t] : model.weights.entries())
    if (name == "model.3.conv.weight") c.model.add(name, Tensor::zeros({8, 16, 3, 3}));
    else if (name != "model.5.bn.bias") c.model.add(name, t);
  c.model.add("extra", Tensor::zeros({2}));
  models::write_pt(scratch.path("a.pt"), c);
  const std::vector<std::string> words{"import", scratch.path("a.pt"), "--out", scratch.path("b.pt")};
  std::vector<std::string> strict = words;
  strict.push_back("--strict");
  const CommandResult refused = run_mtyolo(strict);
  CHECK(refused.exit_code == 4);
  CHECK(refused.err.find("Transferred 342/344 tensors") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(scratch.path("b.pt")));
  const CommandResult r = run_mtyolo(words);
  CHECK(r.exit_code == 0);
  CHECK(r.out.find("Transferred 342/344 tensors\n"
                   "  model.3.conv.weight: file [8,16,3,3], network [8,8,1,1]: another shape\n"
                   "  model.5.bn.bias: file none, network [8]: not in the file\n"
                   "  extra: file [2], network none: not part of the network\n") != std::string::npos);
  const models::Model read = models::load_model(scratch.path("b.pt"));
  CHECK(bit_equal(*read.weights.find("model.0.conv.weight"), *model.weights.find("model.0.conv.weight")));
}

TEST_CASE("import: a cfg of which no convolution fits, or that would lose implicit terms, is refused") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 4));
  const CommandResult r =
      run_mtyolo({"import", scratch.path("a.pt"), "--cfg", "yolov7-tiny", "--out", scratch.path("b.pt")});
  CHECK(r.exit_code == 4);
  CHECK(r.err.find("none of its convolutions (344 tensors in all) fits the cfg 'yolov7-tiny'") !=
        std::string::npos);
  write_weights(scratch.path("full.pt"), models::model_from_cfg(models::shipped_cfg("yolov7-tiny"), 1));
  const CommandResult lost = run_mtyolo(
      {"import", scratch.path("full.pt"), "--cfg", "yolov7-tiny-deploy", "--out", scratch.path("b.pt")});
  CHECK(lost.exit_code == 4);
  CHECK(lost.err.find("mtyolo reparam") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(scratch.path("b.pt")));
}

TEST_CASE("import: formats of other versions and bad names for the output are usage errors") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 2));
  for (const char* suffix : {".weights", ".onnx", ".wts"}) {
    const CommandResult r = run_mtyolo({"import", scratch.path(std::string("x") + suffix)});
    CHECK(r.exit_code == 2);
    CHECK(r.err.find(fmt::format("import of {} files is not part of this version", suffix)) !=
          std::string::npos);
  }
  const auto exit_with_out = [&](const std::string& out) {
    return run_mtyolo({"import", scratch.path("a.pt"), "--out", out}).exit_code;
  };
  CHECK(exit_with_out(scratch.path("a.pt")) == 2);
  CHECK(exit_with_out(scratch.path("b.bin")) == 2);
  CHECK(exit_with_out(scratch.path("no/b.pt")) == 2);
  CHECK(run_mtyolo({"import", scratch.path("a.pt"), "--map", "rows"}).exit_code == 2);
  CHECK(run_mtyolo({"import"}).exit_code == 2);
  CHECK(run_mtyolo({"import", scratch.path("missing.pt")}).exit_code == 4);
}

TEST_CASE("import: --list shows the tensors and writes nothing") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 2));
  const CommandResult r =
      run_mtyolo({"import", scratch.path("a.pt"), "--list", "--out", scratch.path("b.pt")});
  CHECK(r.exit_code == 0);
  CHECK(std::count(r.out.begin(), r.out.end(), '\n') == 344);
  CHECK(r.out.starts_with("model.0.conv.weight float32 [8,3,3,3] "));
  CHECK_FALSE(std::filesystem::exists(scratch.path("b.pt")));
}

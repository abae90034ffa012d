#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/import_model.h"
#include "tests/cli/command.h"
#include "tests/cli/weights_files.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

TEST_CASE("reparam: a P6 network loses its auxiliary branch, its head moves from row 122 to 118") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-w6", 3));
  const CommandResult r = run_mtyolo(
      {"reparam", scratch.path("a.pt"), "--out", scratch.path("b.pt"), "--img-size", "128", "--json"});
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "reparam");
  CHECK(d["head"]["row"] == 118);
  CHECK(d["head"]["was"]["type"] == "IAuxDetect");
  CHECK(d["difference"]["max_abs"].get<double>() < 1e-4);
  CHECK(d["difference"]["max_abs"].get<double>() > 0);
  const models::Model deploy = models::load_model(scratch.path("b.pt"));
  CHECK(deploy.graph.heads[0].prefix == "model.118.");
  CHECK(deploy.graph.heads[0].type == "Detect");
  CHECK(deploy.graph.names == std::vector<std::string>{"c0", "c1", "c2"});
  CHECK(deploy.transfer.skipped.empty());
}

TEST_CASE("reparam: a file with two heads keeps both") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"),
                models::split_heads(small_model("yolov7", 3), {{"a", {2}}, {"b", {0, 1}}}));
  const CommandResult r =
      run_mtyolo({"reparam", scratch.path("a.pt"), "--out", scratch.path("b.pt"), "--img-size", "64"});
  CHECK(r.exit_code == 0);
  CHECK(r.out.find("IDetect in row 105 -> Detect in row 105") != std::string::npos);
  CHECK(r.out.find("max abs difference ") != std::string::npos);
  const models::Model deploy = models::load_model(scratch.path("b.pt"));
  REQUIRE(deploy.graph.heads.size() == 2);
  CHECK(deploy.weights.contains("heads.b.model.105.m.2.bias"));
  CHECK(deploy.weights.contains("model.102.rbr_reparam.weight"));
}

TEST_CASE("reparam: above the tolerance the exit code is 5 and no file stays behind") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 2));
  const CommandResult r = run_mtyolo({"reparam", scratch.path("a.pt"), "--out", scratch.path("b.pt"),
                                      "--tolerance", "0", "--img-size", "64"});
  CHECK(r.exit_code == 5);
  CHECK(r.out.empty());
  CHECK(r.err.find("the deploy form differs from the network: max abs difference") != std::string::npos);
  const auto left = std::filesystem::directory_iterator(scratch.path());
  CHECK(std::distance(begin(left), end(left)) == 1);
}

TEST_CASE("reparam: bad inputs are refused with the exit code of their kind") {
  const TempFolder scratch;
  write_weights(scratch.path("a.pt"), small_model("yolov7-tiny", 2));
  CHECK(run_mtyolo({"reparam"}).exit_code == 2);
  CHECK(run_mtyolo({"reparam", scratch.path("a.pt"), "--out", scratch.path("a.pt")}).exit_code == 2);
  CHECK(run_mtyolo({"reparam", scratch.path("a.pt"), "--tolerance", "-1"}).exit_code == 2);
  CHECK(run_mtyolo({"reparam", scratch.path("missing.pt"), "--out", scratch.path("b.pt")}).exit_code == 4);
}

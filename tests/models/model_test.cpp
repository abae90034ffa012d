#include "models/model.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "models/heads.h"
#include "models/init.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

namespace mtyolo::models {
namespace {

// What a file of this model would hold, without its description.
Checkpoint bare(const Model& model) {
  Checkpoint checkpoint;
  checkpoint.file = "bare.pt";
  checkpoint.model = model.weights;
  return checkpoint;
}

std::string refusal(const Checkpoint& checkpoint, const std::string& cfg = "") {
  try {
    model_from_checkpoint(checkpoint, cfg);
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kModel);
    return e.what();
  }
  return "accepted";
}

StateDict without(const StateDict& weights, const std::string& left_out) {
  StateDict out;
  for (const auto& [name, tensor] : weights.entries())
    if (name.find(left_out) == std::string::npos) out.add(name, tensor);
  return out;
}

TEST_CASE("model: random weights have the published distributions and do not depend on other tensors") {
  const Model a = model_from_cfg(shipped_cfg("yolov7-tiny"), 7);
  const Model b = model_from_cfg(with_classes(shipped_cfg("yolov7-tiny"), 3), 7);
  CHECK(bit_equal(*a.weights.find("model.5.conv.weight"), *b.weights.find("model.5.conv.weight")));
  CHECK_FALSE(bit_equal(*a.weights.find("model.5.conv.weight"), *a.weights.find("model.4.conv.weight")));
  CHECK_FALSE(bit_equal(*a.weights.find("model.5.conv.weight"),
                        *model_from_cfg(shipped_cfg("yolov7-tiny"), 8).weights.find("model.5.conv.weight")));
  const Tensor& w = *a.weights.find("model.28.conv.weight");  // 1x1 of 1024 channels
  double largest = 0, sum = 0;
  for (int64_t i = 0; i < w.numel(); ++i) {
    largest = std::max(largest, double(std::abs(w.data<float>()[i])));
    sum += w.data<float>()[i];
  }
  CHECK(largest <= 1.0 / 32);
  CHECK(largest > 0.99 / 32);
  CHECK(std::abs(sum / double(w.numel())) < 1e-4);
  CHECK(a.weights.find("model.0.bn.running_var")->at({0}) == Approx(0.9));
  CHECK(a.weights.find("model.0.bn.num_batches_tracked")->at({}) == 1);
  CHECK(a.weights.find("model.77.im.0.implicit")->at({0, 0, 0, 0}) == Approx(1).margin(0.2));
  CHECK(a.weights.find("model.77.anchors")->at({0, 0, 0}) == Approx(1.25));
  CHECK(a.weights.find("model.77.anchor_grid")->at({2, 0, 2, 0, 0, 0}) == 373);
}

TEST_CASE("model: biases of the head start at the prior of graph.md 2.5") {
  const Model model = model_from_cfg(with_classes(shipped_cfg("yolov7-tiny"), 1), 1);
  const Tensor& bias = *model.weights.find("model.77.m.0.bias");  // 18 values, fan-in 128
  const double bound = 1 / std::sqrt(128.0);
  CHECK(bias.at({4}) == Approx(-6.6846).margin(bound));
  CHECK(bias.at({11}) == Approx(4.094).margin(bound));
  CHECK(bias.at({6}) == Approx(0).margin(bound));
}

TEST_CASE("model: a state dict without a description is recognised by names and shapes, classes included") {
  const Model saved = model_from_cfg(with_classes(shipped_cfg("yolov7x"), 7), 1);
  const Model model = model_from_checkpoint(bare(saved));
  CHECK(model.cfg.source == "yolov7x");
  CHECK(model.cfg.nc == 7);
  CHECK(model.graph.names == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6"});
  CHECK(model.transfer.transferred == 644);
  CHECK(model.transfer.total == 644);
  CHECK(bit_equal(*model.weights.find("model.121.m.2.weight"), *saved.weights.find("model.121.m.2.weight")));
}

TEST_CASE("model: when tensors do not tell the activation, a warning names the cfgs that fit") {
  log::Capture capture;
  const Model model = model_from_checkpoint(bare(model_from_cfg(shipped_cfg("yolov7-tiny-silu"), 1)));
  CHECK(model.cfg.source == "yolov7-tiny-deploy");
  CHECK(capture.text().find("yolov7-tiny-deploy and yolov7-tiny-silu") != std::string::npos);
}

TEST_CASE("model: half floats stay as stored, and the file's anchors replace the cfg's") {
  const Model saved = model_from_cfg(shipped_cfg("yolov7-tiny"), 1);
  Checkpoint checkpoint = bare(saved);
  checkpoint.model = {};
  for (const auto& [name, tensor] : saved.weights.entries())
    checkpoint.model.add(name, tensor.dtype() == DType::kF32 ? tensor.to(DType::kBF16) : tensor);
  checkpoint.cfg = saved.cfg.document;
  const Model model = model_from_checkpoint(checkpoint);
  CHECK(model.weights.find("model.0.conv.weight")->dtype() == DType::kBF16);
  CHECK(model.graph.heads[0].anchors[2][4] == 372);  // 373 has no bfloat16
  CHECK(std::get<ops::DetectDecode>(model.graph.nodes[size_t(model.graph.heads[0].decode[2])].attrs)
            .anchors[4] == 372);
}

TEST_CASE("model: averaged weights are preferred and old files may lack batch counters") {
  const Model first = model_from_cfg(shipped_cfg("yolov7-tiny"), 1),
              second = model_from_cfg(shipped_cfg("yolov7-tiny"), 2);
  Checkpoint checkpoint = bare(first);
  checkpoint.ema = without(second.weights, "num_batches_tracked");
  const Model model = model_from_checkpoint(checkpoint);
  CHECK(bit_equal(*model.weights.find("model.0.conv.weight"), *second.weights.find("model.0.conv.weight")));
  CHECK(model.transfer.transferred == 344 - 55);
  CHECK(model.transfer.skipped.size() == 55);
}

TEST_CASE("model: weights that do not fit are refused with the tensor and both shapes") {
  const Model tiny = model_from_cfg(shipped_cfg("yolov7-tiny"), 1);
  const std::string other = refusal(bare(tiny), "yolov7");
  CHECK(other.find("model.1.conv.weight") == std::string::npos);  // the first that differs is row 2
  CHECK(other.find("model.2.conv.weight: the tensor is [32,64,1,1], expected [64,64,3,3]") !=
        std::string::npos);
  Checkpoint missing = bare(tiny);
  missing.model = without(tiny.weights, "model.5.bn.bias");
  missing.cfg = tiny.cfg.document;
  CHECK(refusal(missing).find("model.5.bn.bias: the tensor is missing, expected [32]; 343 of 344") !=
        std::string::npos);
  missing.cfg = {};
  CHECK(refusal(missing).find(
            "the closest, yolov7-tiny, agrees in 343 of 344 tensors: model.5.bn.bias is missing") !=
        std::string::npos);
  CHECK(refusal(bare(tiny), "yolov7-tiny-deploy").find("the weights have implicit terms") !=
        std::string::npos);
}

TEST_CASE(
    "model: taking over from another class count keeps the head's own start and lists what was skipped") {
  const Model source = model_from_cfg(shipped_cfg("yolov7-tiny"), 1);
  Model target = model_from_cfg(with_classes(shipped_cfg("yolov7-tiny"), 3), 2);
  const Tensor before = *target.weights.find("model.77.m.0.bias");
  const TransferReport report = transfer_weights(target.graph, source.weights, target.weights);
  CHECK(report.total == 344);
  CHECK(report.transferred == 344 - 9);  // m weights and biases, im
  REQUIRE(report.skipped.size() == 9);
  CHECK(report.skipped[0].name == "model.77.m.0.weight");
  CHECK(*report.skipped[0].found == Shape{255, 128, 1, 1});
  CHECK(*report.skipped[0].expected == Shape{24, 128, 1, 1});
  CHECK(bit_equal(before, *target.weights.find("model.77.m.0.bias")));
  CHECK(bit_equal(*source.weights.find("model.77.ia.0.implicit"),
                  *target.weights.find("model.77.ia.0.implicit")));
}

TEST_CASE("split heads: rows are those of the reference's split") {
  const std::filesystem::path folder = test::shared_folder() / "goldens/multitask";
  if (!std::filesystem::exists(folder)) MTYOLO_SKIP("no shared folder");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto info = nlohmann::json::parse(std::ifstream(entry.path() / "case.json"));
    std::vector<int> all(80);
    for (int c = 0; c < 80; ++c) all[size_t(c)] = c;
    for (const std::string task : {"a", "b"}) {
      std::vector<int> classes;
      for (int c = info["tasks"][task]["classes"][0]; c <= info["tasks"][task]["classes"][1]; ++c)
        classes.push_back(c);
      CHECK(rows_of_classes(3, all, classes) == info["rows_" + task].get<std::vector<int64_t>>());
    }
  }
}

std::vector<HeadGroup> three_groups() {
  HeadGroup rest{"rest", {}};
  for (int c = 79; c >= 0; --c)
    if (c != 5 && c != 2 && c != 40) rest.classes.push_back(c);
  return {{"one", {5}}, {"odd", {40, 2}}, rest};
}

TEST_CASE("split heads: weights, biases and implicit factors are selected, everything else is shared") {
  const Model single = model_from_cfg(shipped_cfg("yolov7-w6"), 3);
  const Model split = split_heads(single, three_groups());
  REQUIRE(split.graph.heads.size() == 3);
  CHECK(split.graph.heads[1].prefix == "heads.odd.model.122.");
  CHECK(split.graph.heads[1].classes == std::vector<int>{40, 2});
  CHECK(split.graph.heads[1].strides == single.graph.heads[0].strides);
  CHECK(split.graph.params.size() == split.weights.size());
  CHECK(split.weights.find("model.0.conv.weight") == nullptr);  // row 0 is ReOrg
  CHECK(split.weights.find("model.1.conv.weight")->raw() ==
        single.weights.find("model.1.conv.weight")->raw());
  CHECK(split.weights.find("model.122.m.0.weight") == nullptr);
  for (const char* list : {"m", "m2"}) {
    const Tensor& from = *single.weights.find(fmt::format("model.122.{}.3.weight", list));
    const Tensor& to = *split.weights.find(fmt::format("heads.odd.model.122.{}.3.weight", list));
    REQUIRE(to.shape() == Shape{21, from.size(1), 1, 1});
    CHECK(to.at({7 + 4, 9, 0, 0}) == from.at({85 + 4, 9, 0, 0}));
    CHECK(to.at({7 + 5, 9, 0, 0}) == from.at({85 + 5 + 40, 9, 0, 0}));
    CHECK(to.at({14 + 6, 0, 0, 0}) == from.at({170 + 5 + 2, 0, 0, 0}));
  }
  CHECK(split.weights.find("heads.one.model.122.m.0.bias")->at({5}) ==
        single.weights.find("model.122.m.0.bias")->at({10}));
  CHECK(split.weights.find("heads.one.model.122.im.0.implicit")->at({0, 11, 0, 0}) ==
        single.weights.find("model.122.im.0.implicit")->at({0, 95, 0, 0}));
  CHECK(split.weights.find("heads.one.model.122.ia.0.implicit")->raw() ==
        single.weights.find("model.122.ia.0.implicit")->raw());
  CHECK_FALSE(split.graph.heads[0].score_is_objectness);
  CHECK(model_from_cfg(with_classes(shipped_cfg("yolov7-tiny"), 1), 1).graph.heads[0].score_is_objectness);
}

TEST_CASE("split heads: what was split is read back from a checkpoint and pruned to one head") {
  const Model split = split_heads(model_from_cfg(shipped_cfg("yolov7"), 3), three_groups());
  const Model again = model_from_checkpoint(checkpoint_from_model(split));
  CHECK(again.heads == three_groups());
  CHECK(again.transfer.transferred == again.transfer.total);
  const Graph pruned = prune_heads(again.graph, {"odd"});
  REQUIRE(pruned.heads.size() == 1);
  const auto node_count = build_graph(shipped_cfg("yolov7")).nodes.size();
  CHECK(pruned.nodes.size() == node_count);
  CHECK(again.graph.nodes.size() > node_count);
  for (const ParamInfo& p : pruned.params) CHECK(again.weights.contains(p.name));
  CHECK(pruned.params.size() == 566);
  CHECK(infer_shapes(pruned, 1, 64, 64)[size_t(pruned.heads[0].decode[0])] == Shape{1, 192, 7});
  CHECK_THROWS_WITH(prune_heads(again.graph, {"ood"}), Catch::Contains("did you mean 'odd'?"));
}

TEST_CASE("split heads: pruning drops the auxiliary branch of a P6 network") {
  const Graph graph = prune_heads(build_graph(shipped_cfg("yolov7-w6")), {"all"});
  CHECK(graph.heads[0].aux_raw.empty());
  CHECK(graph.parameter_count() < build_graph(shipped_cfg("yolov7-w6")).parameter_count() - 11'000'000);
  CHECK(conv_flops(graph, 1, 640, 640) / 1e9 == Approx(89.93).margin(0.005));
}

TEST_CASE("split heads: groups that overlap, are empty, badly named or split already are refused") {
  const Model model = model_from_cfg(shipped_cfg("yolov7-tiny"), 1);
  CHECK_THROWS_WITH(split_heads(model, {{"a", {1}}, {"b", {2, 1}}}),
                    Catch::Contains("class 1 is given twice"));
  CHECK_THROWS_WITH(split_heads(model, {{"a", {80}}}), Catch::Contains("class 80, expected 0..79"));
  CHECK_THROWS_WITH(split_heads(model, {{"a", {}}}), Catch::Contains("has no classes"));
  CHECK_THROWS_WITH(split_heads(model, {{"a.b", {1}}}), Catch::Contains("is not made of"));
  CHECK_THROWS_WITH(split_heads(model, {}), Catch::Contains("no heads are given"));
  const Model split = split_heads(model, {{"a", {1}}});
  CHECK_THROWS_WITH(split_heads(split, {{"b", {1}}}), Catch::Contains("heads already"));
}

}  // namespace
}  // namespace mtyolo::models

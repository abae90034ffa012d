// Packed weights in a file: the first start remembers, the second keeps, the third maps.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "core/log.h"
#include "models/plan/packed_weights.h"
#include "models/plan/plan.h"
#include "models/weights/safetensors.h"
#include "tests/models/random_model.h"
#include "tests/support/temp_folder.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

using ops::blocked::Element;

std::string only_file(const std::string& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    names.push_back(file.path().string());
  REQUIRE(names.size() == 1);
  return names[0];
}

StateDict numbers() {
  StateDict tensors;
  tensors.add("1.weight", Tensor::from<float>({1, 2, 3, 4}, {4}));
  tensors.add("1.bias", Tensor::from<float>({5, -6}, {2}));
  return tensors;
}

std::vector<float> predictions(Context& ctx, const Model& model, Element type, const std::string& folder) {
  const Plan plan(Network::build(ctx, model.graph, model.weights, true, type, {CacheFolder(folder), {}}), 1,
                  64, 64);
  Plan::State state = plan.make_state(ctx);
  plan.run(ctx, random_images({1, 3, 64, 64}), state);
  const Tensor& t = state.outputs()[0].predictions;
  return {t.data<float>(), t.data<float>() + t.numel()};
}

}  // namespace

TEST_CASE("packed weights: the first start leaves an empty file, the second fills it, the third maps it",
          "[plan]") {
  const Element type = GENERATE(Element::kF32, Element::kBF16);
  const TempFolder folder;
  Context ctx(2);
  const Model model = narrow_model("yolov7", 0.25);  // direct, Winograd and merged RepConv layers
  const std::vector<float> want = predictions(ctx, model, type, "");
  CHECK(predictions(ctx, model, type, folder.path()) == want);
  CHECK(fs::file_size(only_file(folder.path())) == 0);
  CHECK(predictions(ctx, model, type, folder.path()) == want);
  const auto bytes = fs::file_size(only_file(folder.path()));
  CHECK(bytes > 1'000'000);
  CHECK(bytes > Network::build(ctx, model.graph, model.weights, true, type)->weight_bytes());
  const PackedWeights file(ctx, CacheFolder(folder.path()),
                           packed_key(ctx, fold_graph(model.graph), model.weights, true, type));
  CHECK(file.tensors().size() == 2 * fold_graph(model.graph).recipes.size());
  CHECK(predictions(ctx, model, type, folder.path()) == want);
}

TEST_CASE("packed weights: a damaged file is told, not used and written anew", "[plan]") {
  const TempFolder folder;
  Context ctx(2);
  for (int start = 0; start < 2; ++start)
    PackedWeights(ctx, CacheFolder(folder.path()), "key").keep(ctx, numbers());
  const std::string path = only_file(folder.path());
  const auto read = [&] { return PackedWeights(ctx, CacheFolder(folder.path()), "key").tensors(); };
  REQUIRE(read().size() == 2);
  CHECK(read().find("1.bias")->at({1}) == -6);
  CHECK(PackedWeights(ctx, CacheFolder(folder.path()), "other").tensors().empty());

  const auto whole = fs::file_size(path);
  const bool cut = GENERATE(false, true);
  if (cut) fs::resize_file(path, whole - 4);
  else
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end).put('\x41');
  const log::Capture said;
  const PackedWeights damaged(ctx, CacheFolder(folder.path()), "key");
  CHECK(damaged.tensors().empty());
  CHECK(said.text().find("packed weights are made anew") != std::string::npos);
  CHECK(said.text().find(path) != std::string::npos);
  damaged.keep(ctx, numbers());
  CHECK(read().size() == 2);
}

TEST_CASE("packed weights: the key changes with the bytes, the names and the way of packing", "[plan]") {
  Context ctx(2);
  Model model = narrow_model("yolov7-tiny", 0.125);
  const auto key = [&](bool winograd = true, Element type = Element::kF32) {
    return packed_key(ctx, fold_graph(model.graph), model.weights, winograd, type);
  };
  const std::string first = key();
  CHECK(key() == first);
  CHECK(key(false) != first);
  CHECK(key(true, Element::kBF16) != first);
  float* weight = model.weights.find(model.graph.params[0].name)->data<float>();
  const float before = weight[0];
  weight[0] += 1;
  CHECK(key() != first);
  weight[0] = before;
  CHECK(key() == first);
  for (GraphNode& node : model.graph.nodes)
    if (auto* bn = std::get_if<ops::BatchNorm>(&node.attrs)) bn->eps *= 2;
  CHECK(key() != first);
}

TEST_CASE("packed weights: views of a file in a known state are told by it and their place", "[plan]") {
  Context ctx(2);
  const TempFolder folder;
  Model model = narrow_model("yolov7-tiny", 0.125);
  const std::string path = folder.path("weights.safetensors");
  StateDict twice;  // every tensor, then all of them again
  for (const char* copy : {"a.", "b."})
    for (const auto& [name, tensor] : model.weights.entries()) twice.add(copy + name, tensor);
  write_safetensors(path, twice, {});
  FileInState mapped{MappedFile::open(path), "state"};
  const StateDict all = parse_safetensors(mapped.file->bytes(), mapped.file);
  const auto weights = [&](const std::string& copy) {
    StateDict some;
    for (const auto& [name, tensor] : model.weights.entries()) some.add(name, *all.find(copy + name));
    return some;
  };
  const auto key = [&](const StateDict& tensors, const FileInState& file) {
    return packed_key(ctx, fold_graph(model.graph), tensors, true, Element::kF32, file);
  };
  const std::string first = key(weights("a."), mapped);
  CHECK(key(weights("a."), mapped) == first);
  CHECK(key(weights("b."), mapped) != first);  // equal bytes at another place
  CHECK(key(weights("a."), {mapped.file, "changed"}) != first);
  CHECK(key(weights("a."), {}) == key(weights("b."), {}));  // told by their bytes
  float* own = model.weights.find(model.graph.params[0].name)->data<float>();
  const std::string before = key(model.weights, mapped);
  own[0] += 1;  // beside the file: its bytes count
  CHECK(key(model.weights, mapped) != before);
}

TEST_CASE("packed weights: a folder that cannot be written costs a line of the log", "[plan]") {
  const TempFolder folder;
  const std::string file = folder.path() + "/file";
  std::ofstream(file).put('x');
  Context ctx(1);
  const log::Capture said;
  PackedWeights(ctx, CacheFolder(file + "/below"), "key").keep(ctx, numbers());
  CHECK(said.text().find("packed weights are not kept") != std::string::npos);
}

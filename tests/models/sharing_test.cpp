// How much the heads of a network share: the block of the cfg, the graph it makes, the weights that go from
// one sharing to another, and the gradients through it.
#include "models/sharing.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "core/random.h"
#include "core/yaml.h"
#include "models/heads.h"
#include "models/import_model.h"
#include "models/plan/deploy.h"
#include "models/plan/detector.h"
#include "models/plan/eager.h"
#include "models/reshare.h"
#include "models/train_graph.h"
#include "tests/models/random_model.h"
#include "tests/support/temp_folder.h"

namespace mtyolo::models {
namespace {

using test::random_images, test::random_model;

using Mode = Sharing::Mode;

const std::vector<HeadGroup> kHalves{{"a", {0, 2}}, {"b", {4, 1, 3}}};

// Two levels; rows 3 and 6 are read by several later rows, and widths are no multiples of 16 on purpose.
const char* const kRows = R"(
nc: 5
anchors: [[10,13, 16,30, 33,23], [30,61, 62,45, 59,119]]
backbone:
  - [-1, 1, ReOrg, []]
  - [-1, 1, Conv, [24, 3, 2]]
  - [-1, 1, MP, []]
  - [-1, 1, Conv, [40, 3, 1]]
  - [-1, 1, Conv, [32, 3, 2]]
head:
  - [-1, 1, RepConv, [32, 3, 1]]
  - [-1, 1, Conv, [40, 1, 1]]
  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]
  - [[-1, 3], 1, Concat, [1]]
  - [[3, -1], 1, Concat, [1]]
  - [-1, 1, Conv, [40, 3, 1]]
  - [[10, 6], 1, IDetect, [nc, anchors]]
)";
constexpr int kRowCount = 12;

Cfg small_cfg(const std::string& sharing = "") {
  return cfg_from_document(parse_yaml(std::string(kRows) + sharing, "small"), "small");
}

// Five classes, a sixteenth of the channels.
Cfg narrow_w6() {
  Document document = with_classes(shipped_cfg("yolov7-w6"), 5).document;
  std::erase_if(document.fields, [](const auto& field) { return field.first == "width_multiple"; });
  document.fields.emplace_back("width_multiple", Document::scalar("0.0625"));
  return cfg_from_document(document, "narrow");
}

std::string refusal(const std::string& sharing) {
  try {
    small_cfg("sharing: " + sharing + "\n");
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

Model split(Model single, const Sharing& sharing, const std::vector<HeadGroup>& groups = kHalves) {
  single.cfg = with_sharing(single.cfg, sharing);
  return split_heads(single, groups);
}

std::vector<Tensor> planned(const Model& model, const Graph& graph, const Tensor& x) {
  Context ctx(2);
  Detector detector(ctx, graph, model.weights, ops::Impls());
  std::vector<Tensor> out;
  for (const HeadOutput& head : detector.forward(x)) out.push_back(head.predictions.clone());
  return out;
}

std::vector<Tensor> unfused(const Model& model, const Graph& graph, const Tensor& x) {
  Context ctx(2);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  return head_predictions(graph, run_eagerly(ctx, impls, graph, model.weights, x));
}

// Every box, objectness and class score of the single head stands in the heads, bit for bit, and a head alone
// says what it says beside the others.
void check_same_detections(const Model& single, const Model& heads, const Tensor& x) {
  for (const auto run : {planned, unfused}) {
    INFO((run == planned ? "plan" : "un-fused"));
    const Tensor one = run(single, single.graph, x)[0];
    const std::vector<Tensor> all = run(heads, heads.graph, x);
    for (size_t h = 0; h < all.size(); ++h) {
      int differing = 0;
      for (int64_t column = 0; column < all[h].size(2); ++column) {
        const int64_t from = column < 5 ? column : 5 + heads.graph.heads[h].classes[size_t(column - 5)];
        differing +=
            !bit_equal(all[h].slice(2, column, column + 1).clone(), one.slice(2, from, from + 1).clone());
      }
      CHECK(differing == 0);
      const Graph alone = prune_heads(heads.graph, {heads.graph.heads[h].name});
      CHECK(bit_equal(run(heads, alone, x)[0], all[h]));
    }
  }
}

bool has_param(const Graph& graph, const std::string& name) {
  return std::any_of(graph.params.begin(), graph.params.end(), [&](const auto& p) { return p.name == name; });
}

std::vector<Sharing> all_kinds(int last, int middle) {
  return {{},
          {.until = middle},
          {.until = 0},
          {.mode = Mode::kSoft},
          {.mode = Mode::kSoft, .cross_stitch = {0, middle, last}},
          {.mode = Mode::kSoft, .couple_first = 0, .couple_last = middle, .cross_stitch = {middle}},
          {.mode = Mode::kNone}};
}

}  // namespace

TEST_CASE("sharing: the block of a cfg is read, written into its document and read again", "[sharing]") {
  CHECK(small_cfg().sharing == Sharing{});
  CHECK(small_cfg("sharing: {mode: hard, until: 4}").sharing == Sharing{.until = 4});
  const Sharing tied{.mode = Mode::kSoft, .couple_first = 0, .couple_last = 6, .strength = 1e-3};
  CHECK(small_cfg("sharing: {mode: soft, couple: [0, 6], penalty: l2, strength: 1.0e-3}").sharing == tied);
  const Sharing stitched{.mode = Mode::kSoft, .cross_stitch = {2, 5}};
  CHECK(small_cfg("sharing:\n  mode: soft\n  cross_stitch: [2, 5]\n").sharing == stitched);
  for (Sharing s : {Sharing{.until = 4}, tied, stitched, Sharing{.mode = Mode::kNone},
                    Sharing{.mode = Mode::kSoft, .couple_first = 1, .couple_last = 3, .cross_stitch = {7}}}) {
    const Cfg cfg = with_sharing(small_cfg(), s);
    CHECK(cfg_from_document(cfg.document, "again").sharing == s);
    CHECK(with_sharing(cfg, {}).document.find("sharing") == nullptr);
  }
  const std::string compact =
      "nc: 2\nanchors: [[1,2]]\nsharing: {mode: hard, until: 0}\nrows: [Conv 8 3 2, "
      "Conv 8 3 1]\nhead: [Detect @-1]\n";
  CHECK(cfg_from_document(parse_yaml(compact, "c"), "c").sharing == Sharing{.until = 0});
}

TEST_CASE("sharing: a block that says nothing sensible is refused with its place", "[sharing]") {
  CHECK_THAT(refusal("{mode: hard, until: 11}"),
             Catch::Contains("line 18") && Catch::Contains("until is '11'") && Catch::Contains("0..10"));
  CHECK_THAT(refusal("{mode: soft, couple: [6, 2]}"), Catch::Contains("6-2") && Catch::Contains("backwards"));
  CHECK_THAT(refusal("{mode: hard, couple: [0, 2]}"), Catch::Contains("`couple` is of soft sharing"));
  CHECK_THAT(refusal("{mode: none, cross_stitch: [2]}"),
             Catch::Contains("`cross_stitch` is of soft sharing"));
  CHECK_THAT(refusal("{mode: soft, until: 3}"), Catch::Contains("`until` is of hard sharing"));
  CHECK_THAT(refusal("{mode: soft, cross_stitch: [5, 2]}"), Catch::Contains("do not ascend"));
  CHECK_THAT(refusal("{mode: soft, cross_stitch: [2], strength: 1}"), Catch::Contains("no tie"));
  CHECK_THAT(refusal("{mode: soft, penalty: l1}"), Catch::Contains("expected l2"));
  CHECK_THAT(refusal("{mode: sotf}"), Catch::Contains("did you mean 'soft'"));
  CHECK_THAT(refusal("{mode: soft, cuople: [0, 1]}"), Catch::Contains("did you mean 'couple'"));
  CHECK_THAT(refusal("{until: 3}"), Catch::Contains("no mode"));
  CHECK_THAT(refusal("soft"), Catch::Contains("no map"));
  CHECK_THROWS_WITH(with_sharing(small_cfg(), {.until = 11}), Catch::Contains("detection row 11"));
  CHECK_THROWS_WITH(with_sharing(small_cfg(), {.mode = Mode::kSoft, .cross_stitch = {11}}),
                    Catch::Contains("cross-stitch after row 11, expected 0..10"));
}

TEST_CASE("sharing: flags win over the cfg, another mode begins anew", "[sharing]") {
  const Sharing soft{.mode = Mode::kSoft, .couple_first = 2, .couple_last = 6, .strength = 3};
  CHECK(with_flags(soft, {.couple = "1-4"}) ==
        Sharing{.mode = Mode::kSoft, .couple_first = 1, .couple_last = 4, .strength = 3});
  CHECK(with_flags(soft, {.mode = "hard", .until = 7}) == Sharing{.until = 7});
  CHECK(with_flags({}, {.mode = "soft", .cross_stitch = {"3", "5"}}).cross_stitch == std::vector<int>{3, 5});
  CHECK_FALSE(SharingFlags{}.given());
  CHECK_THROWS_WITH(with_flags({}, {.mode = "firm"}), Catch::Contains("expected hard, soft or none"));
  CHECK_THROWS_WITH(with_flags({}, {.mode = "soft", .couple = "5"}), Catch::Contains("FIRST-LAST"));
  CHECK_THROWS_WITH(with_flags({}, {.mode = "soft", .couple = "a-5"}), Catch::Contains("'a' is no row"));
  CHECK_THROWS_WITH(with_flags({}, {.mode = "hard", .strength = 1}), Catch::Contains("no rows are tied"));
}

TEST_CASE("sharing: rows have plain names up to the split and a head's name behind it", "[sharing]") {
  const Model single = random_model(small_cfg(), 1);
  const Graph hard = split(single, {.until = 4}).graph;
  CHECK(has_param(hard, "model.4.conv.weight"));
  CHECK_FALSE(has_param(hard, "model.6.conv.weight"));
  CHECK(has_param(hard, "heads.a.model.6.conv.weight"));
  CHECK(has_param(hard, "heads.b.model.11.im.1.implicit"));
  const Graph soft = split(single, {.mode = Mode::kSoft, .cross_stitch = {6}}).graph;
  CHECK(std::none_of(soft.params.begin(), soft.params.end(),
                     [](const ParamInfo& p) { return p.name.starts_with("model."); }));
  CHECK(has_param(soft, "heads.b.model.6.cross_stitch.weight"));
  CHECK(soft.couplings.empty());
  // A stage of one head after the other: rows 0..6 of a, of b, the units, rows 7..11 of a, of b.
  std::vector<std::pair<std::string, int>> order;
  for (const RowInfo& row : soft.rows) order.emplace_back(row.head, row.index);
  CHECK(order[0] == std::pair<std::string, int>("a", 0));
  CHECK(order[7] == std::pair<std::string, int>("b", 0));
  CHECK(order[14] == std::pair<std::string, int>("a", 7));
  CHECK(order.back() == std::pair<std::string, int>("b", 11));
  int64_t sum = 0;
  for (const RowInfo& row : soft.rows) sum += row.parameters;
  CHECK(sum == soft.parameter_count());
  // One head: as always.
  Model with_block = single;
  with_block.cfg = with_sharing(single.cfg, {.mode = Mode::kNone});
  const Graph one = build_graph(with_block.cfg),
              named = split_heads(with_block, {{"only", {0, 1, 2, 3, 4}}}).graph;
  CHECK(one.params.size() == single.graph.params.size());
  CHECK(one.params[0].name == single.graph.params[0].name);
  CHECK(has_param(named, "model.6.conv.weight"));
}

TEST_CASE("sharing: soft sharing couples every tensor that learns, over each pair of heads", "[sharing]") {
  const Model single = random_model(small_cfg(), 1);
  const std::vector<HeadGroup> three{{"a", {0}}, {"b", {1, 2}}, {"c", {3, 4}}};
  const Graph graph =
      split(single, {.mode = Mode::kSoft, .couple_first = 3, .couple_last = 5, .strength = 0.5}, three).graph;
  // Convolution and batch norm of rows 3 and 4: 3 each; RepConv of row 5 with identity: 3 * 2 + 2.
  CHECK(graph.couplings.size() == 3 * (3 + 3 + 8));
  CHECK(graph.couplings[0].first == "heads.a.model.3.conv.weight");
  CHECK(graph.couplings[0].second == "heads.b.model.3.conv.weight");
  CHECK(graph.couplings[1].second == "heads.c.model.3.conv.weight");
  CHECK(graph.couplings[0].strength == 0.5);
  for (const Coupling& c : graph.couplings) {
    CHECK((has_param(graph, c.first) && has_param(graph, c.second)));
    CHECK(without_head(c.first) == without_head(c.second));
    CHECK(c.first.find("running") == std::string::npos);
  }
  const Graph all = split(single, {.mode = Mode::kSoft}).graph;
  CHECK(all.couplings.back().second == "heads.b.model.10.bn.bias");
  CHECK(prune_heads(graph, {"a"}).couplings.empty());
  CHECK(split(single, {.until = 3}).graph.couplings.empty());
}

TEST_CASE("sharing: before the first step every configuration detects what the single head detected",
          "[sharing]") {
  const Model single = random_model(small_cfg(), 3);
  const Tensor x = random_images({2, 3, 32, 64});
  for (const Sharing& s : all_kinds(10, 5)) {
    INFO(describe(s, kRowCount));
    check_same_detections(single, split(single, s), x);
    check_same_detections(single, split(single, s, {{"x", {4}}, {"y", {0, 3}}, {"z", {1, 2}}}), x);
  }
}

TEST_CASE("sharing: a P6 network with auxiliary maps detects the same in every configuration", "[sharing]") {
  const Cfg cfg = narrow_w6();
  const Model single = random_model(cfg, 4);
  const Tensor x = random_images({1, 3, 128, 64});
  const int last = int(cfg.rows.size()) - 2;
  for (const Sharing& s : {Sharing{.until = 46}, Sharing{.mode = Mode::kSoft, .cross_stitch = {10, 47, last}},
                           Sharing{.mode = Mode::kNone}}) {
    INFO(describe(s, last + 2));
    check_same_detections(single, split(single, s), x);
  }
}

TEST_CASE("sharing: a head alone pays nothing for the others but through cross-stitch units", "[sharing]") {
  const Model single = random_model(small_cfg(), 1);
  const auto alone = [&](const Sharing& s) { return prune_heads(split(single, s).graph, {"a"}); };
  const int64_t one = alone({}).parameter_count();
  CHECK(alone({.until = 2}).parameter_count() == one);
  CHECK(alone({.mode = Mode::kNone}).parameter_count() == one);
  CHECK(alone({.mode = Mode::kNone}).nodes.size() == alone({}).nodes.size());
  const Graph stitched = alone({.mode = Mode::kSoft, .cross_stitch = {3}});
  CHECK(has_param(stitched, "heads.b.model.3.conv.weight"));
  CHECK_FALSE(has_param(stitched, "heads.b.model.4.conv.weight"));
  CHECK_FALSE(has_param(stitched, "heads.b.model.3.cross_stitch.weight"));
  CHECK(std::count_if(stitched.rows.begin(), stitched.rows.end(),
                      [](const RowInfo& row) { return row.head == "b"; }) == 4);
}

TEST_CASE("sharing: a checkpoint keeps it, and comes back bit for bit", "[sharing]") {
  const test::TempFolder folder;
  const Model single = random_model(small_cfg(), 1);
  for (const Sharing& s : all_kinds(10, 5)) {
    const Model model = split(single, s);
    const Model back = model_from_checkpoint(checkpoint_from_model(model));
    CHECK(back.cfg.sharing == s);
    CHECK(back.transfer.skipped.empty());
    CHECK(back.weights.size() == model.weights.size());
    CHECK(back.graph.couplings.size() == model.graph.couplings.size());
  }
  const Model model = split(single, {.mode = Mode::kSoft, .cross_stitch = {3, 6}});
  for (const char* file : {"x.pt", "x.safetensors"}) {
    const std::string path = folder.path(file);
    if (path.ends_with(".pt")) write_pt(path, checkpoint_from_model(model));
    else write_safetensors(path, checkpoint_from_model(model));
    const Model back = load_model(path);
    CHECK(back.cfg.sharing == model.cfg.sharing);
    for (const auto& [name, tensor] : model.weights.entries())
      CHECK(bit_equal(tensor, *back.weights.find(name)));
  }
}

TEST_CASE("sharing: the deploy form keeps the split, also where rows of auxiliary maps are gone",
          "[sharing]") {
  const Cfg cfg = narrow_w6();
  const Model single = random_model(cfg, 4);
  const Tensor x = random_images({1, 3, 64, 128});
  for (const Sharing& s : {Sharing{.until = 60}, Sharing{.mode = Mode::kSoft, .cross_stitch = {10, 47}}}) {
    const Model model = split(single, s), deploy = deploy_model(model);
    const Model again = model_from_checkpoint(checkpoint_from_model(deploy));
    CHECK(again.cfg.sharing.mode == s.mode);
    CHECK(again.cfg.sharing.cross_stitch.size() == s.cross_stitch.size());
    const auto d = compare_predictions(unfused(model, model.graph, x), planned(again, again.graph, x));
    CHECK(d.probability < 1e-5);
    CHECK(d.box < 1e-2);
  }
}

TEST_CASE("sharing: weights go from one sharing to another where no number is lost", "[sharing]") {
  const Model single = random_model(small_cfg(), 6);
  const Tensor x = random_images({1, 3, 32, 32});
  const Sharing soft{.mode = Mode::kSoft};
  for (const Sharing& from : all_kinds(10, 5))
    for (const Sharing& to : all_kinds(10, 5)) {
      INFO(describe(from, kRowCount) << " -> " << describe(to, kRowCount));
      check_same_detections(single, reshare(split(single, from), to), x);  // copies are still equal
    }
  Model trained = split(single, soft);
  trained.source = "two.pt";
  StateDict weights;
  for (const auto& [name, tensor] : trained.weights.entries()) {
    Tensor t = tensor.clone();
    if (name == "heads.b.model.3.conv.weight") t.data<float>()[7] += 1;
    weights.add(name, t);
  }
  trained.weights = weights;
  CHECK_NOTHROW(reshare(trained, {.until = 2}));
  CHECK_THROWS_WITH(reshare(trained, {.until = 3}), Catch::Contains("two.pt: ") &&
                                                        Catch::Contains("'model.3.conv.weight'") &&
                                                        Catch::Contains("other numbers in 'a' than in 'b'"));
  Model stitched = split(single, {.mode = Mode::kSoft, .cross_stitch = {4}});
  Tensor unit = Tensor::full({2, 32}, 0.5);
  StateDict learned;
  for (const auto& [name, tensor] : stitched.weights.entries())
    learned.add(name, name == "heads.a.model.4.cross_stitch.weight" ? unit : tensor);
  stitched.weights = learned;
  CHECK_THROWS_WITH(reshare(stitched, soft), Catch::Contains("learned cross-stitch unit"));
  CHECK(bit_equal(*reshare(stitched, {.mode = Mode::kSoft, .cross_stitch = {2, 4}})
                       .weights.find("heads.a.model.4.cross_stitch.weight"),
                  unit));
  CHECK_THROWS_WITH(reshare(single, soft), Catch::Contains("one head"));
}

TEST_CASE("sharing: a head that the weights have not starts from the first head's rows and keeps the units",
          "[sharing]") {
  const Model single = random_model(small_cfg(), 6);
  const Sharing s{.mode = Mode::kSoft, .cross_stitch = {4}};
  const Model two = split(single, s, {{"a", {0, 1}}, {"b", {2, 3}}});
  BuildOptions options;
  options.heads = {{"a", {0, 1}}, {"new", {4}}, {"b", {2, 3}}};
  const Graph three = build_graph(two.cfg, options);
  const StateDict found = reshared_tensors(two.weights, {"a", "b"}, three);
  CHECK(bit_equal(*found.find("heads.new.model.6.conv.weight"),
                  *two.weights.find("heads.a.model.6.conv.weight")));
  CHECK_FALSE(found.contains("heads.new.model.11.m.0.weight"));
  const Tensor unit = *found.find("heads.b.model.4.cross_stitch.weight");
  CHECK(unit.shape() == Shape({3, 32}));
  CHECK((unit.at({0, 5}) == 0 && unit.at({1, 5}) == 0 && unit.at({2, 5}) == 1));
}

TEST_CASE("sharing: one command takes the single head into it, with the count per head", "[sharing]") {
  Model single = random_model(small_cfg(), 1);
  single.source = "one.pt";
  single.graph.names = {"v", "w", "x", "y", "z"};
  const HeadPlan plan{"two.yaml", single.graph.names, kHalves, {.mode = "soft", .cross_stitch = {"3"}}};
  const Model model = with_heads(single, plan);
  const auto counts = transfer_by_head(model.graph, model.transfer);
  REQUIRE(counts.size() == 2);
  CHECK(counts[0].head == "a");
  CHECK(counts[0].total == int64_t(single.graph.params.size()) + 1);
  CHECK(counts[0].transferred + 1 == counts[0].total);
  const auto hard = transfer_by_head(split(single, {.until = 3}).graph, single.transfer);
  CHECK(hard.size() == 3);
  CHECK((hard[0].head.empty() && hard[0].total == 12));
  CHECK_THROWS_WITH(with_heads(single, {"one.yaml", single.graph.names, {}, {.mode = "soft"}}),
                    Catch::Contains("one.yaml") && Catch::Contains("no heads"));
  CHECK_THROWS_WITH(with_heads(single, {"two.yaml", single.graph.names, kHalves, {.until = 11}}),
                    Catch::Contains("detection row 11"));
}

}  // namespace mtyolo::models

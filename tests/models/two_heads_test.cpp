// Splitting a head changes no bit: what the single head says of a class is found in the head that owns the
// class, in the compiled plan and in the un-fused run.
#include <algorithm>
#include <catch2/catch.hpp>
#include <tuple>

#include "core/random.h"
#include "core/yaml.h"
#include "models/heads.h"
#include "models/import_model.h"
#include "models/plan/deploy.h"
#include "models/plan/detector.h"
#include "models/plan/eager.h"
#include "tests/models/random_model.h"

namespace mtyolo::models {
namespace {

using test::random_images, test::random_model;

using Groups = std::vector<HeadGroup>;

// Two levels, RepConv, a pool and implicit terms where the head has them. Widths are no multiples of 16 on
// purpose.
Cfg small_cfg(const std::string& head, int nc) {
  const std::string aux = head == "IAuxDetect" ? ", 3, 4" : "";
  const std::string text = fmt::format(R"(
nc: {}
depth_multiple: 1.0
width_multiple: 1.0
anchors: [[10,13, 16,30, 33,23], [30,61, 62,45, 59,119]]
backbone:
  - [-1, 1, ReOrg, []]
  - [-1, 1, Conv, [24, 3, 2]]
  - [-1, 1, Conv, [40, 3, 2]]
  - [-1, 1, Conv, [56, 1, 1]]
  - [-1, 1, Conv, [72, 3, 2]]
head:
  - [3, 1, RepConv, [56, 3, 1]]
  - [4, 1, RepConv, [88, 3, 1]]
  - [[5, 6{}], 1, {}, [nc, anchors]]
)",
                                       nc, aux, head);
  return cfg_from_document(parse_yaml(text, "small"), "small");
}

// An eighth of the channels.
Cfg narrow(const Cfg& cfg) {
  Document document = cfg.document;
  std::erase_if(document.fields, [](const auto& field) { return field.first == "width_multiple"; });
  document.fields.emplace_back("width_multiple", Document::scalar("0.125"));
  return cfg_from_document(document, "narrow");
}

// The BN statistics of a fresh network are all alike; these are not.
std::vector<Tensor> planned(Context& ctx, const Graph& graph, const StateDict& weights, const Tensor& x) {
  Detector detector(ctx, graph, weights, ops::Impls());
  std::vector<Tensor> out;
  for (const HeadOutput& head : detector.forward(x)) out.push_back(head.predictions.clone());
  return out;
}

std::vector<Tensor> unfused(Context& ctx, const Graph& graph, const StateDict& weights, const Tensor& x) {
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  return head_predictions(graph, run_eagerly(ctx, impls, graph, weights, x));
}

// How many columns of the heads differ in a bit from those of the single head.
int differing_columns(const Graph& split, const std::vector<Tensor>& heads, const Tensor& single) {
  int differing = 0;
  for (size_t h = 0; h < heads.size(); ++h)
    for (int64_t column = 0; column < heads[h].size(2); ++column) {
      const int64_t from = column < 5 ? column : 5 + split.heads[h].classes[size_t(column - 5)];
      differing +=
          !bit_equal(heads[h].slice(2, column, column + 1).clone(), single.slice(2, from, from + 1).clone());
    }
  return differing;
}

using Run = std::vector<Tensor> (*)(Context&, const Graph&, const StateDict&, const Tensor&);

void check_split(const Model& single, const Groups& groups, const Tensor& x) {
  Context ctx;
  const Model split = split_heads(single, groups);
  for (const Run run : {Run(planned), Run(unfused)}) {
    INFO((run == Run(planned) ? "plan" : "un-fused"));
    const Tensor one = run(ctx, single.graph, single.weights, x)[0];
    const std::vector<Tensor> heads = run(ctx, split.graph, split.weights, x);
    REQUIRE(heads.size() == groups.size());
    CHECK(differing_columns(split.graph, heads, one) == 0);
    for (size_t h = 0; h < groups.size(); ++h) {
      const Graph pruned = prune_heads(split.graph, {groups[h].name});
      CHECK(bit_equal(run(ctx, pruned, split.weights, x)[0], heads[h]));
    }
  }
}

Groups halves(int nc, int first) {
  Groups groups{{"a", {}}, {"b", {}}};
  for (int c = 0; c < nc; ++c) groups[c < first ? 0 : 1].classes.push_back(c);
  return groups;
}

// One class alone, two in the wrong order, every other one, the rest.
Groups scattered(int nc) {
  Groups groups{{"one", {3}}, {"swapped", {nc - 1, 0}}, {"odd", {}}, {"rest", {}}};
  for (int c = 1; c < nc - 1; ++c)
    if (c != 3) groups[c % 2 == 1 ? 2 : 3].classes.push_back(c);
  return groups;
}

TEST_CASE("two heads: every score and box of the single head is found bit for bit, for each kind of head") {
  const std::string head = GENERATE("Detect", "IDetect", "IAuxDetect");
  const int nc = GENERATE(2, 11, 80);
  const uint64_t seed = GENERATE(1, 2);
  CAPTURE(head, nc, seed);
  const Model single = random_model(small_cfg(head, nc), seed);
  check_split(single, halves(nc, (nc + 1) / 3), random_images({2, 3, 64, 96}, seed));
}

TEST_CASE("two heads: any number of heads, one-class heads and scattered classes change no bit") {
  const std::string head = GENERATE("Detect", "IDetect", "IAuxDetect");
  CAPTURE(head);
  const Model single = random_model(small_cfg(head, 17), 5);
  check_split(single, scattered(17), random_images({1, 3, 96, 64}, 5));
  Groups singles;
  for (int c = 16; c >= 0; --c) singles.push_back({fmt::format("c{}", c), {c}});
  check_split(single, singles, random_images({1, 3, 32, 32}, 6));
}

TEST_CASE("two heads: yolov7-tiny and a P6 network with auxiliary maps") {
  check_split(random_model(shipped_cfg("yolov7-tiny"), 3), halves(80, 10), random_images({1, 3, 64, 96}, 3));
  const Cfg w6 = narrow(shipped_cfg("yolov7-w6"));
  REQUIRE(w6.width_multiple == 0.125);
  check_split(random_model(w6, 4), scattered(80), random_images({1, 3, 128, 64}, 4));
}

using Key = std::tuple<int, float, float, float, float, float>;
std::vector<Key> keys(const std::vector<ops::Detection>& detections) {
  std::vector<Key> out;
  for (const ops::Detection& d : detections)
    out.emplace_back(d.class_id, d.confidence, d.x1, d.y1, d.x2, d.y2);
  std::sort(out.begin(), out.end());
  return out;
}

TEST_CASE("two heads: under multi-label suppression the union is the single head's detections, bit for bit") {
  Context ctx;
  const Model single = random_model(small_cfg("IDetect", 17), 8);
  const Tensor x = random_images({3, 3, 64, 64}, 8);
  for (const Groups& groups : {halves(17, 1), scattered(17)}) {
    const Model split = split_heads(single, groups);
    Detector one(ctx, single.graph, single.weights, ops::Impls()),
        several(ctx, split.graph, split.weights, ops::Impls());
    DetectParams p;
    p.nms.multi_label = true;
    p.nms.conf_thres = 1e-7f;
    p.nms.max_det = 100000;
    const auto a = one.detect(x, p), b = several.detect(x, p);
    for (size_t image = 0; image < a.size(); ++image) {
      CHECK(a[image].size() > 50);
      CHECK(keys(a[image]) == keys(b[image]));
      for (const ops::Detection& d : b[image]) {
        const std::vector<int>& own = split.graph.heads[size_t(d.head)].classes;
        CHECK(std::find(own.begin(), own.end(), d.class_id) != own.end());
      }
    }
  }
}

TEST_CASE("two heads: under single-label suppression a box may be kept once per head, never fewer times") {
  Context ctx;
  const Model single = random_model(small_cfg("Detect", 17), 9);
  const Model split = split_heads(single, halves(17, 8));
  const Tensor x = random_images({1, 3, 64, 64}, 9);
  Detector one(ctx, single.graph, single.weights, ops::Impls()),
      two(ctx, split.graph, split.weights, ops::Impls());
  DetectParams p;
  p.nms.conf_thres = 1e-7f;
  p.nms.iou_thres = 1;
  p.nms.max_det = 100000;
  const auto a = keys(one.detect(x, p)[0]), b = keys(two.detect(x, p)[0]);
  CHECK(b.size() > a.size());
  CHECK(b.size() <= 2 * a.size());
  CHECK(std::includes(b.begin(), b.end(), a.begin(), a.end()));
}

TEST_CASE("two heads: a data file with the classes in another order gives its own ids to the same columns") {
  Context ctx;
  Cfg cfg = small_cfg("IDetect", 3);
  Model single = random_model(cfg, 2);
  single.graph.names = {"cat", "dog", "bird"};
  const HeadPlan plan{"data.yaml", {"bird", "cat", "dog"}, {{"wings", {0}}, {"legs", {2, 1}}}};
  const Model split = with_heads(single, plan);
  CHECK(split.graph.names == plan.names);
  const Tensor x = random_images({1, 3, 32, 32}, 2);
  const Tensor one = planned(ctx, single.graph, single.weights, x)[0];
  const std::vector<Tensor> heads = planned(ctx, split.graph, split.weights, x);
  const auto column = [](const Tensor& t, int64_t i) { return t.slice(2, i, i + 1).clone(); };
  CHECK(bit_equal(column(heads[0], 5), column(one, 5 + 2)));  // bird
  CHECK(bit_equal(column(heads[1], 5), column(one, 5 + 1)));  // dog
  CHECK(bit_equal(column(heads[1], 6), column(one, 5 + 0)));  // cat
}

TEST_CASE("two heads: classes or heads that differ are refused with both sides") {
  Model single = random_model(small_cfg("IDetect", 3), 2);
  single.source = "weights.pt";
  single.graph.names = {"cat", "dog", "bird"};
  const Groups groups{{"a", {0}}, {"b", {1, 2}}};
  CHECK_THROWS_WITH(
      with_heads(single, {"data.yaml", {"cat", "dog", "cow"}, groups}),
      Catch::Contains("data.yaml: its names are 3 classes ('cat', 'dog', 'cow'), the names of 'weights.pt' "
                      "are 3 classes ('cat', 'dog', 'bird'); the checkpoint has no 'cow'; the data file "
                      "has no 'bird'"));
  CHECK_THROWS_WITH(with_heads(single, {"data.yaml", {"cat", "dog"}, {}}), Catch::Contains("2 classes"));
  CHECK_THROWS_WITH(with_heads(single, {"data.yaml", {"dog", "cat", "bird"}, {}}),
                    Catch::Contains("another order"));
  const Model split = with_heads(single, {"data.yaml", {"cat", "dog", "bird"}, groups});
  CHECK(with_heads(split, {"data.yaml", {"cat", "dog", "bird"}, {}}).heads == groups);
  CHECK_THROWS_WITH(
      with_heads(split, {"data.yaml", {"cat", "dog", "bird"}, {{"a", {0, 1}}, {"b", {2}}}}),
      Catch::Contains("its heads (a: 2 classes, b: 1 classes) are not those of 'weights.pt' (a: 1 classes, "
                      "b: 2 classes)"));
}

TEST_CASE("deploy form: one convolution per block, the head is Detect, predictions agree within rounding") {
  Context ctx;
  const std::string head = GENERATE("Detect", "IDetect", "IAuxDetect");
  const bool split = GENERATE(false, true);
  CAPTURE(head, split);
  Model model = random_model(small_cfg(head, 7), 12);
  if (split) model = split_heads(model, halves(7, 2));
  const Model deploy = deploy_model(model);
  CHECK(deploy.graph.heads.size() == model.graph.heads.size());
  for (const auto& [name, tensor] : deploy.weights.entries()) {
    CHECK(name.find(".bn.") == std::string::npos);
    CHECK(name.find("rbr_dense") == std::string::npos);
    CHECK(name.find("implicit") == std::string::npos);
    CHECK(name.find(".m2.") == std::string::npos);
  }
  CHECK(deploy.weights.contains("model.5.rbr_reparam.bias"));
  CHECK(deploy.weights.contains(split ? "heads.b.model.7.m.1.weight" : "model.7.m.1.weight"));
  const Model again = model_from_checkpoint(checkpoint_from_model(deploy));
  CHECK(again.graph.heads[0].type == "Detect");
  CHECK(again.transfer.skipped.empty());
  const Tensor x = random_images({1, 3, 64, 64}, 12);
  const PredictionDifference d = compare_predictions(unfused(ctx, model.graph, model.weights, x),
                                                     planned(ctx, again.graph, again.weights, x));
  CHECK(d.probability < 1e-5);
  CHECK(d.box < 1e-2);
  CHECK(d.probability + d.box > 0);  // the folded weights are other numbers
  const Model twice = deploy_model(again);
  CHECK(twice.weights.size() == deploy.weights.size());
  for (const auto& [name, tensor] : twice.weights.entries())
    CHECK(bit_equal(tensor, *deploy.weights.find(name)));
}

TEST_CASE("deploy form: tensors have the names and shapes of yolov7's fused deploy networks") {
  for (const std::string name : {"yolov7-tiny", "yolov7", "yolov7-w6", "yolov7-e6e", "yolor-p6", "yolov3"}) {
    CAPTURE(name);
    const std::string deploy_name = name.starts_with("yolov7") ? name + "-deploy" : name;
    BuildOptions options;
    options.has_tensor = fused_form_has_tensor;
    options.fused = true;
    const Graph expected = build_graph(narrow(shipped_cfg(deploy_name)), options);
    const Model deploy = deploy_model(model_from_cfg(narrow(shipped_cfg(name)), 1));
    std::vector<std::pair<std::string, Shape>> want, got;
    for (const ParamInfo& p : expected.params)
      if (p.kind != ParamInfo::Kind::kImplicitAdd && p.kind != ParamInfo::Kind::kImplicitMul)
        want.emplace_back(p.name, p.shape);
    for (const ParamInfo& p : deploy.graph.params) got.emplace_back(p.name, p.shape);
    CHECK(got == want);
  }
}

TEST_CASE("deploy form: predictions that are not finite differ by more than any tolerance") {
  Tensor a = Tensor::zeros({1, 2, 6}), b = a.clone();
  b.data<float>()[5] = 0.25f;
  b.data<float>()[7] = 64;
  const PredictionDifference d = compare_predictions({a}, {b});
  CHECK(d.probability == 0.25);
  CHECK(d.box == 64);
  CHECK(d.worst(128) == 0.5);
  CHECK(d.worst(640) == 0.25);
  b.data<float>()[11] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(compare_predictions({a}, {b}).worst(640) <= 1e30);
}

}  // namespace
}  // namespace mtyolo::models

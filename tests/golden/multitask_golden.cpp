// Kind "multitask": the head of a network split into two. Rows, predictions and detections of each head, and
// the detections of the single head; under multi-label suppression the heads' union is the single head's, bit
// for bit.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "models/heads.h"
#include "models/model.h"
#include "models/plan/detector.h"
#include "models/plan/eager.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

using namespace mtyolo::models;
using nlohmann::json;
using Detections = std::vector<ops::Detection>;

std::vector<HeadGroup> groups_of(const json& tasks) {
  std::vector<HeadGroup> groups;
  for (const auto& [name, task] : tasks.items()) {
    HeadGroup group{name, {}};
    for (int c = task.at("classes")[0]; c <= task.at("classes")[1]; ++c) group.classes.push_back(c);
    groups.push_back(group);
  }
  return groups;
}

Tensor network_input(const GoldenCase& c) {
  const Tensor x = c.tensor("input_u8").to(DType::kF32);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] /= 255.0f;
  return x;
}

Tensor pick_rows(const Tensor& decoded, const Tensor& index) {
  Tensor rows = Tensor::empty({decoded.size(0), index.numel(), decoded.size(2)});
  for (int64_t i = 0; i < index.numel(); ++i) {
    const auto row = int64_t(index.at({i}));
    rows.slice(1, i, i + 1).copy_from(decoded.slice(1, row, row + 1));
  }
  return rows;
}

void check_predictions(const GoldenCase& c, const std::string& run, const Graph& graph,
                       const std::vector<Tensor>& predictions) {
  const json& t = c.info.at("tolerance");
  for (size_t h = 0; h < graph.heads.size(); ++h) {
    // Large cases hold samples, named by `rows`.
    const std::string name = "decoded_" + graph.heads[h].name;
    const Tensor* all = c.tensors.find(name);
    const Tensor& want = all != nullptr ? *all : c.tensor(name + ".rows");
    const Tensor got = all != nullptr ? predictions[h] : pick_rows(predictions[h], c.tensor("rows"));
    const std::string what = fmt::format("{} head {}", run, graph.heads[h].name);
    expect_close(what + " xy", got.slice(2, 0, 2), want.slice(2, 0, 2), tolerance_from(t.at("decoded_xy")));
    expect_close(what + " wh", got.slice(2, 2, 4), want.slice(2, 2, 4), tolerance_from(t.at("decoded_wh")));
    const int64_t columns = want.size(2);
    expect_close(what + " probabilities", got.slice(2, 4, columns), want.slice(2, 4, columns),
                 tolerance_from(t.at("decoded_prob")));
  }
}

Detections suppressed(const std::vector<Tensor>& predictions, const Graph& graph,
                      const std::vector<size_t>& heads, const ops::NmsParams& p) {
  Detections candidates;
  for (const size_t h : heads) {
    const Tensor& all = predictions[h];
    ops::nms_candidates(all.slice(0, 0, 1).reshape({all.size(1), all.size(2)}), p, graph.heads[h].classes,
                        int(h), candidates);
  }
  return ops::nms_select(std::move(candidates), p);
}

// Whether each of `these` that is clear of the cuts (threshold, and the last of a full list) is among
// `those`.
void expect_found(const std::string& what, const Detections& these, const Detections& those,
                  const ops::NmsParams& p, const json& t) {
  const float slack = t.at("confidence"), box = t.at("box_px");
  float cut = p.conf_thres;
  for (const Detections* list : {&these, &those})
    if (list->size() == size_t(p.max_det)) cut = std::max(cut, list->back().confidence);
  for (const ops::Detection& d : these) {
    if (d.confidence < cut + slack) continue;
    const bool found = std::any_of(those.begin(), those.end(), [&](const ops::Detection& o) {
      return o.class_id == d.class_id && std::abs(o.confidence - d.confidence) <= slack &&
             std::abs(o.x1 - d.x1) <= box && std::abs(o.y1 - d.y1) <= box && std::abs(o.x2 - d.x2) <= box &&
             std::abs(o.y2 - d.y2) <= box;
    });
    expect(found, "{}: class {} with {} at {},{} has no counterpart", what, d.class_id, d.confidence, d.x1,
           d.y1);
  }
}

void check_detections(const std::string& what, const Detections& got, const Tensor& want, int first_class,
                      const ops::NmsParams& p, const json& tolerance) {
  Detections expected;
  for (int64_t i = 0; i < want.size(0); ++i) {
    const auto at = [&](int64_t column) { return float(want.at({i, column})); };
    expected.push_back({at(0), at(1), at(2), at(3), at(4), int(at(5)) + first_class, 0});
  }
  expect_found(what + ", not expected", got, expected, p, tolerance);
  expect_found(what + ", missing", expected, got, p, tolerance);
}

using Key = std::tuple<int, float, float, float, float, float>;
std::vector<Key> keys(const Detections& detections) {
  std::vector<Key> out;
  for (const ops::Detection& d : detections)
    out.emplace_back(d.class_id, d.confidence, d.x1, d.y1, d.x2, d.y2);
  std::sort(out.begin(), out.end());
  return out;
}

struct Outputs {
  const Graph& graph;
  std::vector<Tensor> predictions;
};

void check_suppression(const GoldenCase& c, const Outputs& single, const Outputs& split) {
  const json& tolerance = c.info.at("tolerance").at("detections");
  for (size_t r = 0; r < c.info.at("nms").size(); ++r) {
    const json& run = c.info.at("nms")[r];
    ops::NmsParams p{.conf_thres = run.at("conf"), .iou_thres = run.at("iou"), .multi_label = true};
    const std::string suffix = fmt::format(".{}.{}", r, run.at("image").get<int>());
    for (size_t h = 0; h < split.graph.heads.size(); ++h) {
      const Head& head = split.graph.heads[h];
      for (const std::string kind : {"det_", "best_"}) {
        p.multi_label = kind == "det_";
        const std::string name = kind + head.name + suffix;
        check_detections(name, suppressed(split.predictions, split.graph, {h}, p), c.tensor(name),
                         head.classes[0], p, tolerance);
      }
    }
    p.multi_label = true;
    const Detections one = suppressed(single.predictions, single.graph, {0}, p);
    check_detections("det_single" + suffix, one, c.tensor("det_single" + suffix), 0, p, tolerance);
    if (!run.at("union_equals_single_multi_label").get<bool>()) continue;
    const Detections both = suppressed(split.predictions, split.graph, {0, 1}, p);
    expect(keys(both) == keys(one), "run {}: the heads' {} detections are not the single head's {}", r,
           both.size(), one.size());
  }
}

}  // namespace

void run_multitask_case(const GoldenCase& c) {
  const Model single = load_model(c.resolve(c.info.at("checkpoint")).string());
  const std::vector<HeadGroup> groups = groups_of(c.info.at("tasks"));
  for (const HeadGroup& group : groups) {
    const auto rows = rows_of_classes(3, single.graph.heads[0].classes, group.classes);
    expect(rows == c.info.at("rows_" + group.name).get<std::vector<int64_t>>(), "the rows of head {} differ",
           group.name);
  }
  const Model split = split_heads(single, groups);
  Context ctx;
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const Tensor x = network_input(c);
  const auto planned = [&](const Model& model) {
    Detector detector(ctx, model.graph, model.weights, ops::Impls());
    std::vector<Tensor> predictions;
    for (const HeadOutput& out : detector.forward(x)) predictions.push_back(out.predictions.clone());
    return predictions;
  };
  const auto unfused = [&](const Model& model) {
    return head_predictions(model.graph, run_eagerly(ctx, impls, model.graph, model.weights, x));
  };
  const Outputs plan_single{single.graph, planned(single)}, plan_split{split.graph, planned(split)};
  check_predictions(c, "plan", split.graph, plan_split.predictions);
  check_suppression(c, plan_single, plan_split);
  const Outputs eager_single{single.graph, unfused(single)}, eager_split{split.graph, unfused(split)};
  check_predictions(c, "un-fused", split.graph, eager_split.predictions);
  check_suppression(c, eager_single, eager_split);
}

}  // namespace mtyolo::test

// Losses of whole heads: value, items, gradients and assignment, in float64 and float32.
#include <set>
#include <tuple>

#include "tests/golden/kinds.h"
#include "train/losses/loss.h"

namespace mtyolo::test {
namespace {

using nlohmann::json;
using train::HeadSpec;
using train::LossInput;
using train::LossParams;
using train::LossResult;
using train::Match;
using train::Target;

HeadSpec head_from(const json& params) {
  HeadSpec head;
  head.anchors = params.at("anchors_pixels").get<std::vector<std::vector<float>>>();
  head.strides = params.at("strides").get<std::vector<float>>();
  head.nc = params.at("nc");
  return head;
}

LossParams params_from(const json& params) {
  const json& hyp = params.at("hyp");
  LossParams p;
  p.box = hyp.at("box");
  p.obj = hyp.at("obj");
  p.cls = hyp.at("cls");
  p.cls_pw = hyp.at("cls_pw");
  p.obj_pw = hyp.at("obj_pw");
  p.anchor_t = hyp.at("anchor_t");
  p.fl_gamma = hyp.at("fl_gamma");
  p.label_smoothing = hyp.at("label_smoothing");
  p.gr = params.at("gr");
  p.ota_scale_by_height = true;
  return p;
}

std::string loss_name(const std::string& op) {
  if (op == "loss") return "simple";
  if (op == "loss_ota") return "ota";
  if (op == "loss_aux_ota") return "aux_ota";
  throw GoldenNotBuilt("loss " + op + " is not built");
}

// image, anchor, row, column, then the matched target: its class for the plain loss, else the first equal
// row.
using Assigned = std::multiset<std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t>>;

int first_equal(const std::vector<Target>& targets, int row) {
  const auto key = [](const Target& t) { return std::tuple(t.image, t.cls, t.x, t.y, t.w, t.h); };
  int first = 0;
  while (key(targets[size_t(first)]) != key(targets[size_t(row)])) ++first;
  return first;
}

Assigned assigned(const std::vector<Match>& matches, const std::vector<Target>& targets, bool by_class) {
  Assigned out;
  for (const Match& m : matches)
    out.emplace(m.image, m.anchor, m.gj, m.gi,
                by_class ? targets[size_t(m.target)].cls : first_equal(targets, m.target));
  return out;
}

Assigned assigned(const Tensor& rows) {
  Assigned out;
  const int64_t* v = rows.data<int64_t>();
  for (int64_t i = 0; i < rows.size(0); ++i, v += 5) out.emplace(v[0], v[1], v[2], v[3], v[4]);
  return out;
}

void expect_assigned(const GoldenCase& c, const std::string& name, const std::vector<std::vector<Match>>& got,
                     const std::vector<Target>& targets) {
  for (size_t level = 0; level < got.size(); ++level) {
    const std::string tensor = name + "." + std::to_string(level);
    const Assigned want = assigned(c.tensor(tensor).contiguous());
    expect(assigned(got[level], targets, c.info.at("op") == "loss") == want,
           "{}: {} matches, not the {} expected ones", tensor, got[level].size(), want.size());
  }
}

void expect_gradients(const GoldenCase& c, const std::vector<Tensor>& got, size_t first) {
  const Tolerance tolerance = tolerance_from(c.info.at("tolerance").at("grad"));
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string name = "grad." + std::to_string(first + i);
    expect_close(name, got[i], c.tensor(name), tolerance);
  }
}

void run_as(const GoldenCase& c, DType type) {
  const json& params = c.info.at("params");
  const HeadSpec head = head_from(params);
  const std::vector<Target> targets = targets_from(c.tensor("targets"));
  const std::string loss = loss_name(c.info.at("op"));
  std::vector<Tensor> levels, aux;
  for (size_t i = 0; i < head.strides.size(); ++i) {
    levels.push_back(c.tensor("pred." + std::to_string(i)).to(type).contiguous());
    if (loss != "aux_ota") continue;
    aux.push_back(c.tensor("pred." + std::to_string(head.strides.size() + i)).to(type).contiguous());
  }
  LossInput input{.levels = levels, .aux = aux, .targets = targets};
  input.image_height = params.at("image_hw").at(0);
  input.image_width = params.at("image_hw").at(1);
  Context ctx(2);
  const LossResult r = train::find_loss(loss)(ctx, head, params_from(params), input);

  expect_assigned(c, "assign", r.matches, targets);
  expect_assigned(c, "assign_aux", r.aux_matches, targets);
  const json& tolerance = c.info.at("tolerance");
  expect_close("items", Tensor::from<double>({r.box, r.obj, r.cls, r.box + r.obj + r.cls}, {4}),
               c.tensor("items"), tolerance_from(tolerance.at("items")));
  expect_close("loss", Tensor::from<double>({r.loss}, {1}), c.tensor("loss"),
               tolerance_from(tolerance.at("loss")));
  expect_gradients(c, r.grads, 0);
  expect_gradients(c, r.aux_grads, r.grads.size());
}

}  // namespace

std::vector<Target> targets_from(const Tensor& rows) {
  const Tensor values = rows.contiguous();
  const float* v = values.data<float>();
  std::vector<Target> targets;
  for (int64_t i = 0; i < rows.size(0); ++i, v += 6)
    targets.push_back({.image = int(v[0]), .cls = int(v[1]), .x = v[2], .y = v[3], .w = v[4], .h = v[5]});
  return targets;
}

void run_loss_case(const GoldenCase& c) {
  for (const DType type : {DType::kF64, DType::kF32}) {
    try {
      run_as(c, type);
    } catch (const GoldenMismatch& e) {
      throw GoldenMismatch(fmt::format("in {}: {}", type, e.what()));
    }
  }
}

}  // namespace mtyolo::test

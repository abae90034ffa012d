// Cases of kind "ops" that belong to the losses: IoUs of boxes and binary cross-entropy, with gradients.
#include <map>

#include "tests/golden/kinds.h"
#include "train/losses/bce.h"
#include "train/losses/box_iou.h"

namespace mtyolo::test {
namespace {

using train::Bce;
using train::BceParams;
using train::Box;

void expect_output(const GoldenCase& c, const std::string& name, const std::vector<double>& got) {
  const Tensor& want = c.tensor(name);
  expect_close(name, Tensor::from(got, want.shape()), want, tolerance_from(c.info.at("tolerance").at(name)));
}

std::vector<double> numbers(const GoldenCase& c, const std::string& name) {
  const Tensor t = c.tensor(name).to(DType::kF64).contiguous();
  return {t.data<double>(), t.data<double>() + t.numel()};
}

void run_box(const GoldenCase& c) {
  const train::IouKind kind = train::iou_by_name(std::string(c.info.at("op")).substr(4));
  const std::vector<double> a = numbers(c, "a"), b = numbers(c, "b"), gy = numbers(c, "gy");
  std::vector<double> y, ga, gb;
  for (size_t i = 0; i < gy.size(); ++i) {
    Box box_a, box_b;
    std::copy_n(&a[4 * i], 4, box_a.begin());
    std::copy_n(&b[4 * i], 4, box_b.begin());
    const train::BoxIou iou = train::box_iou(kind, box_a, box_b);
    y.push_back(iou.value);
    for (const double g : iou.grad_a) ga.push_back(gy[i] * g);
    for (const double g : iou.grad_b) gb.push_back(gy[i] * g);
  }
  expect_output(c, "y", y);
  expect_output(c, "g.a", ga);
  expect_output(c, "g.b", gb);
}

void run_bce(const GoldenCase& c) {
  const nlohmann::json& params = c.info.at("params");
  const BceParams p{.pos_weight = params.value("pos_weight", 1.0),
                    .gamma = params.value("gamma", 0.0),
                    .alpha = params.value("alpha", 0.25)};
  const bool mean = params.at("reduction") == "mean";
  const std::vector<double> x = numbers(c, "x"), t = numbers(c, "t"), gy = numbers(c, "gy");
  std::vector<double> y, gx;
  double sum = 0;
  const double n = double(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const Bce e = train::bce_with_logits(x[i], t[i], p);
    y.push_back(e.loss);
    sum += e.loss;
    gx.push_back(mean ? gy[0] * e.grad / n : gy[i] * e.grad);
  }
  expect_output(c, "y", mean ? std::vector<double>{sum / n} : y);
  expect_output(c, "g.x", gx);
}

}  // namespace

bool run_loss_ops_case(const GoldenCase& c) {
  static const std::map<std::string, void (*)(const GoldenCase&)> kOps{
      {"box_iou", run_box},  {"box_giou", run_box},        {"box_diou", run_box},
      {"box_ciou", run_box}, {"bce_with_logits", run_bce}, {"focal_bce", run_bce}};
  const auto run = kOps.find(c.info.at("op"));
  if (run == kOps.end()) return false;
  run->second(c);
  return true;
}

}  // namespace mtyolo::test

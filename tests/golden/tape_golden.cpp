// Golden cases that are several ops in a row: their values and the gradients that a tape collects.
#include "autograd/functions.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

using autograd::Var;

class TapeCase {
 public:
  explicit TapeCase(const GoldenCase& c) : case_(c) { ops::register_cpu_impls(impls_); }

  autograd::Tape& tape() { return tape_; }
  bool has(const std::string& name) const { return case_.tensors.contains(name); }
  // An input of the case as a variable whose gradient is checked at the end.
  Var input(const std::string& name) {
    const Tensor& value = case_.tensor(name);
    const Var var{value, std::make_shared<autograd::Gradient>(value)};
    inputs_.emplace_back(name, var);
    return var;
  }
  Var batch_norm(const std::string& prefix, const Var& x, double eps) {
    const int64_t channels = x.value.size(1);
    const autograd::RunningStats running{Tensor::zeros({channels}), Tensor::full({channels}, 1)};
    return autograd::batch_norm(tape_, x, input(prefix + "weight"), input(prefix + "bias"), running,
                                {.eps = eps, .activation = {}});
  }
  void check(const Var& y) {
    expect_close("y", y.value, case_.tensor("y"), tolerance("y"));
    y.grad->give(ctx_, case_.tensor("gy"), true);
    tape_.backward();
    for (const auto& [name, var] : inputs_)
      expect_close("g." + name, var.grad->value(), case_.tensor("g." + name), tolerance("g." + name));
  }

 private:
  Tolerance tolerance(const std::string& name) const {
    return tolerance_from(case_.info.at("tolerance").at(name));
  }
  const GoldenCase& case_;
  Context ctx_;
  ops::Impls impls_;
  autograd::Tape tape_{ctx_, impls_};
  std::vector<std::pair<std::string, Var>> inputs_;
};

}  // namespace

void run_repconv_train_case(const GoldenCase& golden) {
  TapeCase c(golden);
  const auto& params = golden.info.at("params");
  if (params.at("activation") != "silu") throw GoldenNotBuilt("RepConv with another activation");
  const double eps = params.at("eps");
  const Var x = c.input("x");
  const auto branch = [&](const std::string& name, int kernel) {
    const Var weight = c.input(name + ".0.weight");
    const int groups = int(x.value.size(1) / weight.value.size(1));
    const auto p = ops::Conv2d::square(kernel, params.value("stride", 1), kernel / 2, groups);
    return c.batch_norm(name + ".1.", autograd::conv2d(c.tape(), x, weight, {}, p), eps);
  };
  Var sum = autograd::add(c.tape(), branch("rbr_dense", 3), branch("rbr_1x1", 1));
  if (c.has("rbr_identity.weight")) sum = autograd::add(c.tape(), sum, c.batch_norm("rbr_identity.", x, eps));
  c.check(autograd::activation(c.tape(), sum, {ops::ActivationKind::kSilu}));
}

void run_implicit_head_case(const GoldenCase& golden) {
  TapeCase c(golden);
  const Var shifted = autograd::scale_shift(c.tape(), c.input("x"), c.input("ia"), {ops::ImplicitKind::kAdd});
  const Var raw = autograd::conv2d(c.tape(), shifted, c.input("w"), c.input("b"), {});
  c.check(autograd::scale_shift(c.tape(), raw, c.input("im"), {ops::ImplicitKind::kMul}));
}

}  // namespace mtyolo::test

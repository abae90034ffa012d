#include "tests/autograd/gradient_check.h"

#include <algorithm>
#include <cmath>

#include "tests/ops/op_testing.h"

namespace mtyolo::test {
namespace {

double weighted_sum(OpSetup& s, const std::vector<Tensor>& inputs, const TapeFunction& f) {
  autograd::Tape tape(s.ctx, s.impls, false);
  std::vector<autograd::Var> vars;
  for (const Tensor& t : inputs) vars.push_back({t, nullptr});
  const Tensor y = f(tape, vars).value.contiguous();
  const Tensor r = random_tensor(y.shape(), 99, DType::kF64);
  double sum = 0;
  for (int64_t i = 0; i < y.numel(); ++i) sum += y.data<double>()[i] * r.data<double>()[i];
  return sum;
}

}  // namespace

autograd::Var leaf(const Tensor& value) { return {value, std::make_shared<autograd::Gradient>(value)}; }

double gradient_error(const std::vector<Tensor>& inputs, const TapeFunction& f) {
  constexpr double kStep = 1e-5;
  OpSetup s;
  autograd::Tape tape(s.ctx, s.impls);
  std::vector<autograd::Var> vars;
  for (const Tensor& t : inputs) vars.push_back(leaf(t));
  const autograd::Var y = f(tape, vars);
  y.grad->give(s.ctx, random_tensor(y.value.shape(), 99, DType::kF64), true);
  tape.backward();

  double worst = 0;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Tensor got = vars[k].grad->value().contiguous();
    std::vector<Tensor> moved = inputs;
    for (int64_t i = 0; i < inputs[k].numel(); ++i) {
      moved[k] = inputs[k].clone();
      double& x = moved[k].data<double>()[i];
      const double at = x;
      x = at + kStep;
      const double above = weighted_sum(s, moved, f);
      x = at - kStep;
      const double want = (above - weighted_sum(s, moved, f)) / (2 * kStep);
      const double error = std::abs(got.data<double>()[i] - want) / std::max(1.0, std::abs(want));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

}  // namespace mtyolo::test

#include "autograd/tape.h"

#include <catch2/catch.hpp>

#include "autograd/functions.h"
#include "tests/autograd/gradient_check.h"
#include "tests/ops/op_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;
using autograd::Gradient;
using autograd::Tape;
using autograd::Var;

namespace {

size_t in_use(OpSetup& s) { return s.ctx.allocator()->stats().in_use_bytes; }

// A variable whose elements and gradient lie in the context's allocator.
Var leaf_in(OpSetup& s, const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::kF32, s.ctx.allocator());
  t.copy_from(random_tensor(shape, seed));
  return leaf(t);
}

}  // namespace

TEST_CASE("tape: records run last first, each once, and only those a gradient has reached", "[autograd]") {
  OpSetup s;
  Tape tape(s.ctx, s.impls);
  std::vector<int> order;
  const auto a = leaf(Tensor::zeros({2})).grad, b = leaf(Tensor::zeros({2})).grad,
             unreached = leaf(Tensor::zeros({2})).grad;
  tape.record("test", {a}, [&] { order.push_back(1); });
  tape.record("test", {unreached}, [&] { order.push_back(2); });
  tape.record("test", {nullptr, b}, [&] {
    order.push_back(3);
    a->give(s.ctx, b->value(), false);
  });
  b->give(s.ctx, Tensor::full({2}, 1), true);
  tape.backward();
  CHECK(order == std::vector<int>{3, 1});
  CHECK(tape.size() == 0);
  CHECK_FALSE(b->value().defined());  // a record's own gradient goes with it
}

TEST_CASE("tape: a record frees what it kept when it is done", "[autograd]") {
  OpSetup s;
  Tape tape(s.ctx, s.impls);
  std::vector<size_t> kept;
  const auto note = [&](const Var& y) {
    const auto probe = leaf(Tensor::zeros({1})).grad;
    probe->give(s.ctx, Tensor::zeros({1}), true);
    tape.record("test", {probe}, [&] { kept.push_back(in_use(s)); });
    return y;
  };
  const Shape shape{1, 16, 32, 32};  // 64 KiB
  {
    Var y = leaf_in(s, shape, 1);
    for (int i = 0; i < 4; ++i) y = note(autograd::activation(tape, y, {ops::ActivationKind::kSilu}));
    y.grad->give(s.ctx, random_tensor(shape, 2), true);
  }
  tape.backward();
  // At first the inputs of four functions, the value of the last one being gone; then one gradient, and one
  // input less each time.
  CHECK(kept == std::vector<size_t>{4 << 16, 4 << 16, 3 << 16, 2 << 16});
  CHECK(in_use(s) == 0);
}

TEST_CASE("tape: nothing is recorded or kept where no gradient is wanted", "[autograd]") {
  OpSetup s;
  Tape tape(s.ctx, s.impls), silent(s.ctx, s.impls, false);
  const Tensor x = random_tensor({1, 4, 4, 4}, 1);
  CHECK(autograd::upsample(tape, {x, nullptr}, {2}).grad == nullptr);
  CHECK(autograd::upsample(silent, leaf(x), {2}).grad == nullptr);
  CHECK(tape.size() + silent.size() == 0);

  // A frozen convolution below a trained vector: its input's gradient is not computed.
  const Var y = autograd::conv2d(tape, {x, nullptr}, {random_tensor({4, 4, 1, 1}, 2), nullptr}, {}, {});
  const Var z = autograd::scale_shift(tape, y, leaf(random_tensor({1, 4, 1, 1}, 3)), {});
  CHECK(y.grad == nullptr);
  CHECK(z.grad != nullptr);
  CHECK(tape.size() == 1);
}

TEST_CASE("tape: a parameter's gradient is added to, a value's is written first", "[autograd]") {
  OpSetup s;
  Tensor sum = Tensor::full({4, 4, 1, 1}, 1);
  const Tensor x = random_tensor({1, 4, 3, 3}, 1), w = random_tensor({4, 4, 1, 1}, 2);
  const Tensor gy = random_tensor({1, 4, 3, 3}, 3);
  const auto run = [&](const Var& weight) {
    Tape tape(s.ctx, s.impls);
    const Var y = autograd::conv2d(tape, {x, nullptr}, weight, {}, {});
    y.grad->give(s.ctx, gy, true);
    tape.backward();
  };
  const Var value = leaf(w);
  run(value);
  run({w, Gradient::of_parameter(sum)});
  run({w, Gradient::of_parameter(sum)});
  for (int64_t i = 0; i < 16; ++i)
    CHECK(sum.data<float>()[i] ==
          Approx(1 + 2 * value.grad->value().data<float>()[i]).epsilon(1e-5).margin(1e-5));
}

TEST_CASE("tape: inputs of a concat that lie in its buffer are not copied, and their gradients are views",
          "[autograd]") {
  OpSetup s;
  Tape tape(s.ctx, s.impls);
  const Var x = leaf(random_tensor({2, 16, 3, 5}, 1));
  Tensor all = Tensor::empty({2, 48, 3, 5}, DType::kF32, s.ctx.allocator());
  const Var a = autograd::activation(tape, x, {}, all.slice(1, 0, 16));
  const Var b = autograd::activation(tape, x, {ops::ActivationKind::kRelu}, all.slice(1, 16, 32));
  const Var inputs[] = {a, b, x};
  const uint64_t before = s.ctx.allocator()->stats().requests;
  const Var y = autograd::concat(tape, inputs, all);
  CHECK(s.ctx.allocator()->stats().requests == before);
  CHECK(bit_equal(y.value.slice(1, 32, 48), x.value));
  const Tensor gy = random_tensor(all.shape(), 2);
  y.grad->give(s.ctx, gy, true);
  tape.backward();
  // y's own gradient was the caller's, so it is read and never written.
  CHECK(bit_equal(gy, random_tensor(all.shape(), 2)));
  for (int64_t c = 0; c < 16; ++c) {
    const double slope = x.value.at({1, c, 2, 4}) > 0 ? 1 : 0;
    const double want = gy.at({1, c, 2, 4}) + slope * gy.at({1, 16 + c, 2, 4}) + gy.at({1, 32 + c, 2, 4});
    CHECK(x.grad->value().at({1, c, 2, 4}) == Approx(want).epsilon(1e-5).margin(1e-6));
  }
}

TEST_CASE("gradient: a shared contribution is copied before another is added to it", "[autograd]") {
  OpSetup s;
  const Tensor g = Tensor::full({1, 2, 2, 2}, 3);
  Gradient own(g), other(g);
  own.give(s.ctx, g, true);
  other.give(s.ctx, g, true);
  CHECK(own.value().raw() == g.raw());
  own.give(s.ctx, Tensor::full({1, 2, 2, 2}, 1), false);
  CHECK(own.value().at({0, 1, 1, 1}) == 4);
  CHECK(other.value().at({0, 1, 1, 1}) == 3);
  CHECK(g.at({0, 0, 0, 0}) == 3);
}

TEST_CASE("gradient: a blocked one has the halo its reader asks for", "[autograd]") {
  OpSetup s;
  const Tensor value = Tensor::empty_blocked({1, 16, 4, 4}, 1);
  Gradient narrow(value), wide(value, 2);
  CHECK(narrow.open(s.ctx).tensor.halo() == 0);
  CHECK(wide.open(s.ctx).tensor.halo() == 2);
  Gradient again(value);
  const Tensor g = Tensor::empty_blocked({1, 16, 4, 4}, 1);
  CHECK(again.takes(g));
  CHECK_FALSE(Gradient(value, 2).takes(g));
  CHECK_FALSE(Gradient(value).takes(Tensor::zeros({1, 16, 4, 4})));
}

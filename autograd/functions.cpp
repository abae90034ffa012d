#include "autograd/functions.h"

#include <algorithm>

#include "core/profile.h"
#include "ops/add.h"
#include "ops/checks.h"
#include "ops/concat.h"
#include "ops/head_rows.h"
#include "ops/space_to_depth.h"

namespace mtyolo::autograd {
namespace {

using Grad = std::shared_ptr<Gradient>;

constexpr int64_t kBlock = 16;  // channels of a block (core/tensor.h)

Tensor output(Tape& tape, const Tensor& given, const Shape& shape, const Tensor& x) {
  if (given.defined()) return given;
  return x.is_blocked() ? Tensor::empty_blocked(shape, 0, tape.ctx().allocator(), x.dtype())
                        : Tensor::empty(shape, x.dtype(), tape.ctx().allocator());
}

// The result of a function of `inputs`: it wants a gradient when one of them does.
Var result(Tape& tape, const Tensor& y, std::initializer_list<const Var*> inputs, int halo = 0) {
  Var var{y, nullptr};
  for (const Var* input : inputs)
    if (tape.recording() && input->grad != nullptr && var.grad == nullptr)
      var.grad = std::make_shared<Gradient>(y, halo);
  return var;
}

// Records a function of one output, if it wants a gradient.
template <class F>
void record(Tape& tape, const char* name, const Var& y, F&& backward) {
  if (y.grad != nullptr) tape.record(name, {y.grad}, std::forward<F>(backward));
}

// The halo of gy with which the gradient of a convolution's input needs no copy of it.
int gradient_halo(const ops::Conv2d& p) {
  const auto along = [](int kernel, int stride, int pad, int dilation) {
    return stride > 1 ? (kernel - 1) / stride : std::max(0, dilation * (kernel - 1) - pad);
  };
  return std::max(along(p.kernel_h, p.stride_h, p.pad_h, p.dilation_h),
                  along(p.kernel_w, p.stride_w, p.pad_w, p.dilation_w));
}

}  // namespace

Var conv2d(Tape& tape, const Var& x, const Var& weight, const Var& bias, const ops::Conv2d& p, Tensor y) {
  y = output(tape, y, ops::conv2d_shape(x.value.shape(), weight.value.shape(), p), x.value);
  ops::conv2d_forward(tape.ctx(), tape.impls(), x.value, weight.value, bias.value, p, y);
  const Var out = result(tape, y, {&x, &weight, &bias}, x.grad != nullptr ? gradient_halo(p) : 0);
  const bool weight_wanted = weight.grad != nullptr || bias.grad != nullptr;
  // The input is let go before its gradient is made, which may then take its memory.
  const auto backward = [&tape, p, input = weight_wanted && !x.again ? x.value : Tensor(),
                         again = weight_wanted ? x.again : nullptr, w = weight.value, gx = x.grad,
                         gw = weight.grad, gb = bias.grad, gy = out.grad]() mutable {
    Context& ctx = tape.ctx();
    if (again) input = again();
    if (input.defined()) {
      const profile::Scope scope("conv2d_wgrad");
      Tensor weights = gw != nullptr ? gw->sum(ctx) : Tensor::zeros(w.shape(), w.dtype(), ctx.allocator());
      Tensor biases = gb != nullptr ? gb->sum(ctx) : Tensor();
      ops::conv2d_backward_weight(ctx, tape.impls(), input, gy->value(), p, ops::GradMode::kAccumulate,
                                  weights, biases);
      input = Tensor();
    }
    if (gx == nullptr) return;
    const profile::Scope scope("conv2d_dgrad");
    Gradient::Slot slot = gx->open(ctx);
    ops::conv2d_backward_input(ctx, tape.impls(), gy->value(), w, p, slot.mode, slot.tensor);
  };
  record(tape, "conv2d_grad", out, backward);
  return out;
}

Var batch_norm(Tape& tape, const Var& x, const Var& weight, const Var& bias, const RunningStats& running,
               const ops::BatchNormTrain& p, Tensor y, bool keep) {
  const Tensor& input = x.value;
  y = output(tape, y, input.shape(), input);
  const ops::BatchNormStats stats{weight.value, bias.value, running.mean, running.var};
  const auto vector = [&] {
    return Tensor::empty({input.size(1)}, ops::arithmetic_type(input), tape.ctx().allocator());
  };
  const ops::BatchNormSaved saved{vector(), vector()};
  ops::batch_norm_train_forward(tape.ctx(), tape.impls(), input, stats, p, saved, y);
  Var out = result(tape, y, {&x, &weight, &bias}, x.grad != nullptr ? x.grad->halo() : 0);
  if (!keep && out.grad != nullptr)
    out.again = [&ctx = tape.ctx(), &impls = tape.impls(), p, stats, saved, input,
                 make = Gradient(y, y.halo())] {
      const profile::Scope scope("batch_norm_again");
      Tensor same = make.make(ctx);
      ops::batch_norm_train_again(ctx, impls, input, stats, p, saved, same);
      return same;
    };
  record(tape, "batch_norm_grad", out,
         [&tape, p, stats, saved, input, gx = x.grad, gw = weight.grad, gb = bias.grad, gy = out.grad] {
           Context& ctx = tape.ctx();
           ops::BatchNormGrads grads;
           if (gw != nullptr) grads.gw = gw->sum(ctx);
           if (gb != nullptr) grads.gb = gb->sum(ctx);
           const Tensor upstream = gy->value();
           if (gx != nullptr) {
             // The first contribution may take the place of gy, which nobody reads after it.
             const bool in_place = !gy->shared() && gx->takes(upstream);
             if (in_place) gx->give(ctx, upstream, false);
             const Gradient::Slot slot =
                 in_place ? Gradient::Slot{upstream, ops::GradMode::kOverwrite} : gx->open(ctx);
             grads.gx = slot.tensor;
             grads.x_mode = slot.mode;
           }
           ops::batch_norm_train_backward(ctx, tape.impls(), input, upstream, stats, p, saved, grads);
         });
  return out;
}

Var activation(Tape& tape, const Var& x, const ops::Activation& p, Tensor y) {
  y = output(tape, y, x.value.shape(), x.value);
  ops::activation_forward(tape.ctx(), tape.impls(), x.value, p, y);
  const Var out = result(tape, y, {&x});
  record(tape, "activation_grad", out, [&tape, p, input = x.value, gx = x.grad, gy = out.grad] {
    Gradient::Slot slot = gx->open(tape.ctx());
    ops::activation_backward(tape.ctx(), tape.impls(), input, gy->value(), p, slot.mode, slot.tensor);
  });
  return out;
}

Var max_pool2d(Tape& tape, const Var& x, const ops::MaxPool2d& p, Tensor y) {
  y = output(tape, y, ops::max_pool2d_shape(x.value.shape(), p), x.value);
  ops::max_pool2d_forward(tape.ctx(), tape.impls(), x.value, p, y);
  const Var out = result(tape, y, {&x});
  record(tape, "max_pool2d_grad", out, [&tape, p, input = x.value, gx = x.grad, gy = out.grad] {
    Gradient::Slot slot = gx->open(tape.ctx());
    ops::max_pool2d_backward(tape.ctx(), tape.impls(), input, gy->value(), p, slot.mode, slot.tensor);
  });
  return out;
}

Var upsample(Tape& tape, const Var& x, const ops::Upsample& p, Tensor y) {
  y = output(tape, y, ops::upsample_shape(x.value.shape(), p), x.value);
  ops::upsample_forward(tape.ctx(), tape.impls(), x.value, p, y);
  const Var out = result(tape, y, {&x});
  record(tape, "upsample_grad", out, [&tape, p, gx = x.grad, gy = out.grad] {
    Gradient::Slot slot = gx->open(tape.ctx());
    ops::upsample_backward(tape.ctx(), tape.impls(), gy->value(), p, slot.mode, slot.tensor);
  });
  return out;
}

Var space_to_depth(Tape& tape, const Var& x, Tensor y) {
  y = output(tape, y, ops::space_to_depth_shape(x.value.shape()), x.value);
  ops::space_to_depth_forward(tape.ctx(), x.value, y);
  const Var out = result(tape, y, {&x});
  record(tape, "space_to_depth_grad", out, [&tape, gx = x.grad, gy = out.grad] {
    Gradient::Slot slot = gx->open(tape.ctx());
    ops::space_to_depth_backward(tape.ctx(), gy->value(), slot.mode, slot.tensor);
  });
  return out;
}

Var scale_shift(Tape& tape, const Var& x, const Var& implicit, const ops::ScaleShift& p, Tensor y) {
  y = output(tape, y, x.value.shape(), x.value);
  ops::scale_shift_forward(tape.ctx(), x.value, implicit.value, p, y);
  const Var out = result(tape, y, {&x, &implicit});
  record(tape, "scale_shift_grad", out,
         [&tape, p, input = x.value, vector = implicit.value, gx = x.grad, g_implicit = implicit.grad,
          gy = out.grad] {
           Context& ctx = tape.ctx();
           Gradient::Slot slot{Tensor(), ops::GradMode::kOverwrite};
           if (gx != nullptr) slot = gx->open(ctx);
           Tensor sum = g_implicit != nullptr ? g_implicit->sum(ctx) : Tensor();
           ops::scale_shift_backward(ctx, input, vector, gy->value(), p, slot.mode, slot.tensor, sum);
         });
  return out;
}

Var cross_stitch(Tape& tape, std::span<const Var> inputs, const Var& weight, Tensor y) {
  std::vector<Tensor> values;
  std::vector<Grad> gradients;
  bool wanted = weight.grad != nullptr;
  for (const Var& input : inputs) {
    values.push_back(input.value);
    gradients.push_back(input.grad);
    wanted = wanted || input.grad != nullptr;
  }
  y = output(tape, y, values.at(0).shape(), values[0]);
  ops::cross_stitch_forward(tape.ctx(), values, weight.value, y);
  Var out{y, nullptr};
  if (!wanted || !tape.recording()) return out;
  out.grad = std::make_shared<Gradient>(y);
  if (weight.grad == nullptr) values.assign(values.size(), Tensor());  // only its gradient reads them
  tape.record(
      "cross_stitch_grad", {out.grad},
      [&tape, values, gradients, w = weight.value, gw = weight.grad, gy = out.grad] {
        const Tensor sums = gw != nullptr ? gw->sum(tape.ctx()) : Tensor();
        for (size_t k = 0; k < values.size(); ++k) {
          const auto row = [&](const Tensor& t) {
            return t.defined() ? t.slice(0, int64_t(k), int64_t(k) + 1).reshape({t.size(1)}) : Tensor();
          };
          Gradient::Slot slot{Tensor(), ops::GradMode::kOverwrite};
          if (gradients[k] != nullptr) slot = gradients[k]->open(tape.ctx());
          const Tensor& x = values[k].defined() ? values[k] : gy->value();
          Tensor sum = row(sums);
          if (slot.tensor.defined() || sum.defined())
            ops::cross_stitch_backward(tape.ctx(), x, row(w), gy->value(), slot.mode, slot.tensor, sum);
        }
      });
  return out;
}

Var add(Tape& tape, const Var& a, const Var& b, Tensor y) {
  y = output(tape, y, a.value.shape(), a.value);
  ops::add_forward(tape.ctx(), a.value, b.value, y);
  const Var out = result(tape, y, {&a, &b});
  record(tape, "add_grad", out, [&tape, ga = a.grad, gb = b.grad, gy = out.grad] {
    const bool shared = gy->shared() || (ga != nullptr && gb != nullptr);
    for (const Grad& g : {ga, gb})
      if (g != nullptr) g->give(tape.ctx(), gy->value(), shared);
  });
  return out;
}

Var concat(Tape& tape, std::span<const Var> inputs, Tensor y) {
  std::vector<Tensor> values;
  std::vector<Shape> shapes;
  std::vector<std::pair<Grad, int64_t>> parts;  // gradient of an input, its first channel
  int64_t channel = 0;
  bool wanted = false;
  int halo = 0;  // with which the gradients of inputs need no copies
  for (const Var& input : inputs) {
    values.push_back(input.value);
    shapes.push_back(input.value.shape());
    parts.emplace_back(input.grad, channel);
    channel += input.value.size(1);
    wanted = wanted || input.grad != nullptr;
    if (input.grad != nullptr) halo = std::max(halo, input.grad->halo());
  }
  y = output(tape, y, ops::concat_shape(shapes), values[0]);
  ops::concat_forward(tape.ctx(), values, y);
  Var out{y, nullptr};
  if (!wanted || !tape.recording()) return out;
  out.grad = std::make_shared<Gradient>(y, halo);
  tape.record("concat_grad", {out.grad}, [&tape, parts, shapes, gy = out.grad] {
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto& [g, first] = parts[i];
      if (g == nullptr) continue;
      const Tensor& upstream = gy->value();
      const int64_t end = first + shapes[i][1];
      // A view is written as whole blocks.
      const bool whole = first % kBlock == 0 && (end % kBlock == 0 || end == upstream.size(1));
      if (!upstream.is_blocked() || whole) {
        g->give(tape.ctx(), upstream.slice(1, first, end), gy->shared());
        continue;
      }
      Gradient::Slot slot = g->open(tape.ctx());
      ops::concat_backward(tape.ctx(), upstream, first, slot.mode, slot.tensor);
    }
  });
  return out;
}

Var head_rows(Tape& tape, const Var& raw, int anchors) {
  const Shape& s = raw.value.shape();
  Tensor rows = Tensor::empty({s[0], anchors, s[2], s[3], s[1] / anchors}, ops::arithmetic_type(raw.value),
                              tape.ctx().allocator());
  ops::head_rows_forward(tape.ctx(), raw.value, anchors, rows);
  const Var out = result(tape, rows, {&raw});
  record(tape, "head_rows_grad", out, [&tape, gx = raw.grad, gy = out.grad] {
    Gradient::Slot slot = gx->open(tape.ctx());
    ops::head_rows_backward(tape.ctx(), gy->value(), slot.mode, slot.tensor);
  });
  return out;
}

}  // namespace mtyolo::autograd

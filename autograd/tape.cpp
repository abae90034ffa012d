#include "autograd/tape.h"

#include <algorithm>

#include "core/profile.h"
#include "ops/concat.h"

namespace mtyolo::autograd {

using ops::GradMode;

Gradient::Gradient(const Tensor& value, int halo)
    : shape_(value.shape()), dtype_(value.dtype()), halo_(value.is_blocked() ? halo : -1) {}

std::shared_ptr<Gradient> Gradient::of_parameter(const Tensor& sum) {
  auto gradient = std::make_shared<Gradient>(sum);
  gradient->value_ = sum;
  return gradient;
}

Tensor Gradient::make(Context& ctx) const {
  return halo_ < 0 ? Tensor::empty(shape_, dtype_, ctx.allocator())
                   : Tensor::empty_blocked(shape_, halo_, ctx.allocator(), dtype_);
}

Gradient::Slot Gradient::open(Context& ctx) {
  if (!value_.defined()) {
    value_ = make(ctx);
    return {value_, GradMode::kOverwrite};
  }
  if (shared_) {
    Tensor own = make(ctx);
    ops::concat_backward(ctx, value_, 0, GradMode::kOverwrite, own);
    value_ = own;
    shared_ = false;
  }
  return {value_, GradMode::kAccumulate};
}

Tensor Gradient::sum(Context& ctx) {
  if (!value_.defined()) value_ = Tensor::zeros(shape_, dtype_, ctx.allocator());
  return value_;
}

void Gradient::give(Context& ctx, const Tensor& g, bool g_shared) {
  MTYOLO_CHECK(g.shape() == shape_ && g.dtype() == dtype_, "gradient {} of a value of shape {} {}", g, shape_,
               dtype_);
  if (takes(g)) {
    value_ = g;
    shared_ = g_shared;
    return;
  }
  Slot slot = open(ctx);
  ops::concat_backward(ctx, g, 0, slot.mode, slot.tensor);
}

bool Gradient::takes(const Tensor& g) const {
  return !value_.defined() && g.is_blocked() == (halo_ >= 0) && g.halo() >= halo_;
}

void Gradient::clear() {
  value_ = Tensor();
  shared_ = false;
}

void Tape::record(const char* name, std::vector<std::shared_ptr<Gradient>> outputs,
                  std::function<void()> backward) {
  nodes_.push_back({name, std::move(outputs), std::move(backward)});
}

void Tape::backward(bool keep) {
  for (size_t i = nodes_.size(); i-- > 0;) {
    // A function lets go of what it has read: a copy does so for this walk alone.
    const Node node = keep ? nodes_[i] : std::move(nodes_[i]);
    if (!keep) nodes_.pop_back();
    const bool reached = std::any_of(node.outputs.begin(), node.outputs.end(),
                                     [](const auto& g) { return g != nullptr && g->value().defined(); });
    if (reached) {
      const profile::Scope scope(node.name);
      node.backward();
    }
    for (const auto& g : node.outputs)
      if (g != nullptr) g->clear();
  }
}

}  // namespace mtyolo::autograd

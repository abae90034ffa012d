#include "train/ema.h"

#include <algorithm>
#include <cmath>

namespace mtyolo::train {
namespace {

constexpr int64_t kChunk = 1 << 16;

void average(float* __restrict v, const float* __restrict model, int64_t n, float d) {
  const float rest = 1 - d;
  for (int64_t i = 0; i < n; ++i) v[i] += rest * (model[i] - v[i]);  // frozen weights stay bit for bit
}

}  // namespace

Ema::Ema(Context& ctx, const autograd::ParamStore& model, double decay, double tau)
    : decay_(decay), tau_(tau) {
  MTYOLO_CHECK(decay >= 0 && decay < 1 && tau > 0, "averaging with decay {} and tau {}", decay, tau);
  values_ = Tensor::empty(model.values().shape(), DType::kF32, ctx.allocator());
  values_.copy_from(model.values());
  int64_t offset = 0;
  for (const autograd::Parameter& p : model.parameters()) {
    const int64_t end = offset + p.value.numel();
    parameters_.push_back({p.name, values_.slice(0, offset, end).reshape(p.value.shape())});
    offset = end;
  }
  for (const autograd::Buffer& b : model.buffers()) buffers_.push_back({b.name, b.value.clone()});
}

double Ema::decay_at(int64_t update) const { return decay_ * (1 - std::exp(-double(update) / tau_)); }

void Ema::update(Context& ctx, const autograd::ParamStore& model) {
  const int64_t n = values_.numel();
  MTYOLO_CHECK(model.values().numel() == n && model.buffers().size() == buffers_.size(),
               "averaging a model of {} elements and {} buffers, expected {} and {}", model.values().numel(),
               model.buffers().size(), n, buffers_.size());
  const float d = float(decay_at(++updates_));
  float* const v = values_.data<float>();
  const float* const w = model.values().data<float>();
  ctx.pool().parallel_for((n + kChunk - 1) / kChunk, [&](int64_t i) {
    const int64_t begin = i * kChunk;
    average(v + begin, w + begin, std::min(kChunk, n - begin), d);
  });
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const Tensor& from = model.buffers()[i].value;
    if (from.dtype() != DType::kF32) continue;
    average(buffers_[i].value.data<float>(), from.data<float>(), from.numel(), d);
  }
}

models::StateDict Ema::state_dict(const models::Graph& graph) const {
  models::StateDict all, ordered;
  for (const auto* part : {&parameters_, &buffers_})
    for (const autograd::Buffer& b : *part) all.add(b.name, b.value);
  for (const models::ParamInfo& info : graph.params) {
    const Tensor* t = all.find(info.name);
    MTYOLO_CHECK(t != nullptr, "the averages have no tensor {}", quoted(info.name));
    ordered.add(info.name, *t);
  }
  return ordered;
}

void Ema::restore(const models::StateDict& averages, int64_t updates) {
  std::vector<Tensor> to;
  std::vector<const Tensor*> from;
  for (const auto* part : {&parameters_, &buffers_})
    for (const autograd::Buffer& b : *part) {
      const Tensor* t = averages.find(b.name);
      if (t == nullptr)
        fail(ExitCode::kModel, "ema_state", "the averaged weights have no tensor {}", quoted(b.name));
      if (t->shape() != b.value.shape())
        fail(ExitCode::kModel, "ema_state", "{} of the averaged weights is {}, expected {}", quoted(b.name),
             *t, b.value);
      to.push_back(b.value);
      from.push_back(t);
    }
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_from(*from[i]);
  updates_ = updates;
}

}  // namespace mtyolo::train

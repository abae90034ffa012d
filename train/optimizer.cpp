#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mtyolo::train {
namespace {

using autograd::Parameter;
using autograd::ParamGroup;

constexpr int64_t kChunk = 1 << 15;  // elements of one task

// Slices [0, n) into chunks that do not depend on the number of threads.
template <class F>
void for_chunks(Context& ctx, int64_t n, F&& f) {
  ctx.pool().parallel_for((n + kChunk - 1) / kChunk,
                          [&](int64_t i) { f(i * kChunk, std::min(n, (i + 1) * kChunk)); });
}

void sgd(float* __restrict w, const float* __restrict g, float* __restrict v, int64_t n, float rate,
         float momentum, float decay) {
  for (int64_t i = 0; i < n; ++i) {
    const float d = g[i] + decay * w[i];
    v[i] = momentum * v[i] + d;
    w[i] -= rate * (d + momentum * v[i]);
  }
}

struct AdamStep {
  float beta1, beta2, eps;
  float rest1, rest2;  // 1 - beta, rounded once: 1 - float(0.999) is off by 1e-5 of itself
  float rate;      // divided by 1 - beta1^k
  float root;      // 1 / sqrt(1 - beta2^k)
  float l2, keep;  // decay added to the gradient; factor of w before the step
};

void adam(float* __restrict w, const float* __restrict g, float* __restrict p, float* __restrict q, int64_t n,
          const AdamStep& s) {
  for (int64_t i = 0; i < n; ++i) {
    const float d = g[i] + s.l2 * w[i];
    p[i] = s.beta1 * p[i] + s.rest1 * d;
    q[i] = s.beta2 * q[i] + s.rest2 * d * d;
    w[i] = s.keep * w[i] - s.rate * p[i] / (std::sqrt(q[i]) * s.root + s.eps);
  }
}

// Exponent bits all set: nan or inf.
bool all_finite(const float* values, int64_t n) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= uint32_t((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

double factor_of(const std::string& name, const std::map<std::string, double>& groups) {
  double factor = 1;
  size_t longest = 0;
  for (const auto& [prefix, value] : groups)
    if (name.starts_with(prefix) && prefix.size() >= longest) {
      longest = prefix.size();
      factor = value;
    }
  return factor;
}

const Tensor& stored(const models::StateDict& state, const std::string& name, const Tensor& like) {
  const Tensor* t = state.find(name);
  if (t == nullptr)
    fail(ExitCode::kModel, "optimizer_state",
         "the checkpoint has no tensor {}: it was made by another optimizer", quoted(name));
  if (t->shape() != like.shape() || t->dtype() != like.dtype())
    fail(ExitCode::kModel, "optimizer_state", "{} is {}, expected {}", quoted(name), *t, like);
  return *t;
}

}  // namespace

OptimizerKind optimizer_by_name(const std::string& name) {
  if (name == "sgd") return OptimizerKind::kSgd;
  if (name == "adam") return OptimizerKind::kAdam;
  if (name == "adamw") return OptimizerKind::kAdamW;
  fail(ExitCode::kUsage, "usage", "no optimizer {}; there are sgd, adam, adamw", quoted(name));
}

struct Optimizer::Run {
  int64_t begin = 0, end = 0;  // in the flat buffers
  double rate = 0, decay = 0;
  int64_t count = 0;  // steps with this one
};

Optimizer::Optimizer(Context& ctx, autograd::ParamStore& store, const OptimizerParams& params)
    : store_(store), params_(params), counts_(store.parameters().size(), 0) {
  for (const auto& [prefix, factor] : params.lr_groups) {
    const auto has_prefix = [&](const Parameter& p) { return p.name.starts_with(prefix); };
    if (!std::any_of(store.parameters().begin(), store.parameters().end(), has_prefix))
      fail(ExitCode::kUsage, "config", "lr_groups: no parameter begins with {}", quoted(prefix));
  }
  for (const Parameter& p : store.parameters()) factors_.push_back(factor_of(p.name, params.lr_groups));
  for (size_t i = 0; i < moment_names().size(); ++i)
    moments_.push_back(Tensor::zeros(store.values().shape(), DType::kF32, ctx.allocator()));
}

std::vector<std::string> Optimizer::moment_names() const {
  if (params_.kind == OptimizerKind::kSgd) return {"momentum"};
  return {"exp_avg", "exp_avg_sq"};
}

std::vector<Optimizer::Run> Optimizer::runs(const Rates& rates) const {
  std::vector<Run> out;
  int64_t offset = 0;
  for (size_t i = 0; i < store_.parameters().size(); ++i) {
    const Parameter& p = store_.parameters()[i];
    const int64_t begin = offset;
    offset += p.value.numel();
    if (!p.trainable) continue;
    const Run run{begin, offset, rates.lr[size_t(p.group)] * factors_[i],
                  p.group == ParamGroup::kWeight ? params_.weight_decay : 0, counts_[i] + 1};
    const bool extends = !out.empty() && out.back().end == run.begin && out.back().rate == run.rate &&
                         out.back().decay == run.decay && out.back().count == run.count;
    if (extends) out.back().end = run.end;
    else out.push_back(run);
  }
  return out;
}

void Optimizer::step(Context& ctx, const Rates& rates) {
  float* const w = store_.values().data<float>();
  const float* const g = store_.gradients().data<float>();
  float* const first = moments_[0].data<float>();
  for (const Run& r : runs(rates)) {
    if (params_.kind == OptimizerKind::kSgd) {
      for_chunks(ctx, r.end - r.begin, [&](int64_t begin, int64_t end) {
        const int64_t at = r.begin + begin;
        sgd(w + at, g + at, first + at, end - begin, float(r.rate), float(rates.momentum), float(r.decay));
      });
      continue;
    }
    const bool decoupled = params_.kind == OptimizerKind::kAdamW;
    const double k = double(r.count);
    const AdamStep s{.beta1 = float(params_.beta1),
                     .beta2 = float(params_.beta2),
                     .eps = float(params_.eps),
                     .rest1 = float(1 - params_.beta1),
                     .rest2 = float(1 - params_.beta2),
                     .rate = float(r.rate / (1 - std::pow(params_.beta1, k))),
                     .root = float(1 / std::sqrt(1 - std::pow(params_.beta2, k))),
                     .l2 = decoupled ? 0 : float(r.decay),
                     .keep = decoupled ? float(1 - r.rate * r.decay) : 1};
    float* const second = moments_[1].data<float>();
    for_chunks(ctx, r.end - r.begin, [&](int64_t begin, int64_t end) {
      const int64_t at = r.begin + begin;
      adam(w + at, g + at, first + at, second + at, end - begin, s);
    });
  }
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += store_.parameters()[i].trainable;
  ++steps_;
}

std::string Optimizer::first_bad_gradient(Context& ctx) const {
  const std::vector<Parameter>& parameters = store_.parameters();
  std::vector<uint8_t> bad(parameters.size(), 0);
  ctx.pool().parallel_for(int64_t(bad.size()), [&](int64_t i) {
    const Parameter& p = parameters[size_t(i)];
    bad[size_t(i)] = p.trainable && !all_finite(p.grad.data<float>(), p.grad.numel());
  });
  const auto first = std::find(bad.begin(), bad.end(), 1);
  return first == bad.end() ? "" : parameters[size_t(first - bad.begin())].name;
}

models::StateDict Optimizer::state() const {
  models::StateDict out;
  out.add("optimizer.steps", Tensor::from(std::vector<int64_t>{steps_}, {1}));
  const std::vector<std::string> names = moment_names();
  int64_t offset = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    const Parameter& p = store_.parameters()[i];
    const int64_t end = offset + p.value.numel();
    for (size_t m = 0; m < names.size(); ++m)
      out.add("optimizer." + names[m] + "." + p.name,
              moments_[m].slice(0, offset, end).reshape(p.value.shape()));
    if (params_.kind != OptimizerKind::kSgd)
      out.add("optimizer.step." + p.name, Tensor::from(std::vector<int64_t>{counts_[i]}, {1}));
    offset = end;
  }
  return out;
}

void Optimizer::restore(const models::StateDict& state) {
  const models::StateDict mine = this->state();  // views of the moments
  for (const auto& [name, tensor] : mine.entries()) {
    const Tensor& from = stored(state, name, tensor);
    if (from.dtype() == DType::kI64 && from.at({0}) < 0)
      fail(ExitCode::kModel, "optimizer_state", "{} is {}, expected a count of steps", quoted(name),
           from.at({0}));
  }
  for (const auto& [name, tensor] : mine.entries()) {
    Tensor to = tensor;
    to.copy_from(*state.find(name));
  }
  steps_ = int64_t(mine.find("optimizer.steps")->at({0}));
  if (params_.kind == OptimizerKind::kSgd) return;
  for (size_t i = 0; i < counts_.size(); ++i)
    counts_[i] = int64_t(mine.find("optimizer.step." + store_.parameters()[i].name)->at({0}));
}

}  // namespace mtyolo::train

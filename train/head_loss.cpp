#include "train/head_loss.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/random.h"

namespace mtyolo::train {
namespace {

constexpr int64_t kChunk = 1 << 15;            // elements of one task
constexpr uint32_t kOrderStream = 0x70636764;  // "pcgd"
constexpr const char* kLogVariance = "optimizer.head_loss.log_variance";
constexpr const char* kMomentum = "optimizer.head_loss.momentum";

// The heads but `head`, in a drawn order (Fisher and Yates).
std::vector<size_t> others(size_t heads, size_t head, RandomStream random) {
  std::vector<size_t> order;
  for (size_t i = 0; i < heads; ++i)
    if (i != head) order.push_back(i);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[size_t(random.below(int64_t(i)))]);
  return order;
}

}  // namespace

HeadLossRule head_loss_rule_by_name(const std::string& name) {
  if (name == "fixed") return HeadLossRule::kFixed;
  if (name == "learned") return HeadLossRule::kLearned;
  if (name == "pcgrad") return HeadLossRule::kPcgrad;
  fail(ExitCode::kUsage, "usage", "no --head-loss {}; there are fixed, learned, pcgrad", quoted(name));
}

LogVariances::LogVariances(size_t heads) : entries_(heads) {}

double LogVariances::factor(size_t head) const { return std::exp(-entries_[head].s); }

void LogVariances::add(size_t head, double loss, double images) {
  entries_[head].loss += loss;
  entries_[head].images += images;
}

void LogVariances::clear() {
  for (Entry& e : entries_) e.loss = e.images = 0;
}

void LogVariances::step(double rate, double momentum) {
  for (Entry& e : entries_) {
    if (e.images == 0) continue;
    const double gradient = std::max(1 - std::exp(-e.s) * e.loss / (e.images * kLossUnit), -1.0);
    e.momentum = momentum * e.momentum + gradient;
    e.s = std::clamp(e.s - rate * (gradient + momentum * e.momentum), -kLogVarianceLimit, kLogVarianceLimit);
  }
  clear();
}

void LogVariances::save(models::StateDict& optimizer) const {
  std::vector<double> s, momentum;
  for (const Entry& e : entries_) {
    s.push_back(e.s);
    momentum.push_back(e.momentum);
  }
  optimizer.add(kLogVariance, Tensor::from(s, {int64_t(s.size())}));
  optimizer.add(kMomentum, Tensor::from(momentum, {int64_t(s.size())}));
}

void LogVariances::restore(const models::StateDict& optimizer) {
  entries_.assign(entries_.size(), {});
  const Tensor *s = optimizer.find(kLogVariance), *momentum = optimizer.find(kMomentum);
  const auto fits = [&](const Tensor* t) {
    return t != nullptr && t->dtype() == DType::kF64 && t->shape() == Shape{int64_t(entries_.size())};
  };
  if (!fits(s) || !fits(momentum)) return;
  for (size_t h = 0; h < entries_.size(); ++h) {
    const double value = s->at({int64_t(h)}), speed = momentum->at({int64_t(h)});
    if (!(std::abs(value) <= kLogVarianceLimit) || !std::isfinite(speed))
      fail(ExitCode::kModel, "optimizer_state", "{} of head {} is {}, expected -{}..{} and a finite momentum",
           kLogVariance, h, value, kLogVarianceLimit, kLogVarianceLimit);
    entries_[h].s = value;
    entries_[h].momentum = speed;
  }
}

GradientSurgery::GradientSurgery(Context& ctx, autograd::ParamStore& store,
                                 const std::vector<std::set<std::string>>& by_head, uint64_t seed)
    : ctx_(ctx), store_(store), seed_(seed) {
  int64_t offset = 0;
  for (const autograd::Parameter& p : store.parameters()) {
    const int64_t end = offset + p.value.numel();
    const auto users = std::count_if(by_head.begin(), by_head.end(), [&](const std::set<std::string>& names) {
      return names.contains(p.name);
    });
    for (int64_t at = offset; users > 1 && at < end; at += kChunk)
      shared_.emplace_back(at, std::min(end, at + kChunk));
    offset = end;
  }
  for (size_t h = 0; h < by_head.size(); ++h)
    gradients_.push_back(Tensor::zeros(store.gradients().shape(), DType::kF32, ctx.allocator()));
  work_ = Tensor::zeros(store.gradients().shape(), DType::kF32, ctx.allocator());
}

void GradientSurgery::begin(size_t head) {
  Tensor all = store_.gradients();
  all.copy_from(gradients_[head]);
}

void GradientSurgery::end(size_t head) { gradients_[head].copy_from(store_.gradients()); }

void GradientSurgery::clear() {
  for (Tensor& g : gradients_) std::memset(g.raw(), 0, g.size_bytes());
}

double GradientSurgery::dot(const float* a, const float* b) const {
  std::vector<double> sums(shared_.size());
  ctx_.pool().parallel_for(int64_t(sums.size()), [&](int64_t task) {
    double sum = 0;
    for (int64_t i = shared_[size_t(task)].first; i < shared_[size_t(task)].second; ++i)
      sum += double(a[i]) * b[i];
    sums[size_t(task)] = sum;
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// work_ becomes the head's gradient without what is against the others'.
void GradientSurgery::project(int64_t update, size_t head, const std::vector<double>& squares) {
  float* const work = work_.data<float>();
  work_.copy_from(gradients_[head]);
  const size_t heads = gradients_.size();
  const uint64_t position = uint64_t(update) * heads + head;
  for (const size_t other : others(heads, head, RandomStream(seed_, kOrderStream, position))) {
    const float* const against = gradients_[other].data<float>();
    const double product = dot(work, against);
    ++pairs_;
    if (!(product < 0)) continue;
    ++conflicts_;
    const float share = float(product / squares[other]);
    ctx_.pool().parallel_for(int64_t(shared_.size()), [&](int64_t task) {
      for (int64_t i = shared_[size_t(task)].first; i < shared_[size_t(task)].second; ++i)
        work[i] -= share * against[i];
    });
  }
}

void GradientSurgery::combine(int64_t update) {
  std::vector<double> squares;
  for (const Tensor& g : gradients_) squares.push_back(dot(g.data<float>(), g.data<float>()));
  float* const sum = store_.gradients().data<float>();
  const int64_t n = store_.gradients().numel();
  store_.zero_grad();
  for (const Tensor& g : gradients_) {
    const float* const from = g.data<float>();
    ctx_.pool().parallel_for((n + kChunk - 1) / kChunk, [&](int64_t task) {
      for (int64_t i = task * kChunk; i < std::min(n, (task + 1) * kChunk); ++i) sum[i] += from[i];
    });
  }
  for (const auto& [begin, end] : shared_) std::fill(sum + begin, sum + end, 0.0f);
  for (size_t h = 0; h < gradients_.size(); ++h) {
    project(update, h, squares);
    const float* const from = work_.data<float>();
    ctx_.pool().parallel_for(int64_t(shared_.size()), [&](int64_t task) {
      for (int64_t i = shared_[size_t(task)].first; i < shared_[size_t(task)].second; ++i) sum[i] += from[i];
    });
  }
}

double GradientSurgery::take_conflicts() {
  const double share = pairs_ == 0 ? 0 : double(conflicts_) / double(pairs_);
  pairs_ = conflicts_ = 0;
  return share;
}

}  // namespace mtyolo::train

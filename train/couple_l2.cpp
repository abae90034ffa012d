#include "train/couple_l2.h"

#include <algorithm>
#include <numeric>

namespace mtyolo::train {
namespace {

constexpr int64_t kChunk = 1 << 15;  // elements of one task

autograd::Parameter& parameter(autograd::ParamStore& store, const std::string& name) {
  autograd::Parameter* p = store.find(name);
  MTYOLO_CHECK(p != nullptr, "a tie names the parameter {}, which the network does not have", quoted(name));
  return *p;
}

double couple(Context& ctx, autograd::Parameter& first, autograd::Parameter& second, double strength,
              bool gradients) {
  MTYOLO_CHECK(first.value.shape() == second.value.shape(), "a tie holds {} {} and {} {} together",
               quoted(first.name), first.value, quoted(second.name), second.value);
  const float* const a = first.value.data<float>();
  const float* const b = second.value.data<float>();
  float* const ga = gradients && first.trainable ? first.grad.data<float>() : nullptr;
  float* const gb = gradients && second.trainable ? second.grad.data<float>() : nullptr;
  const float slope = float(2 * strength);
  const int64_t n = first.value.numel();
  std::vector<double> sums(size_t((n + kChunk - 1) / kChunk));
  ctx.pool().parallel_for(int64_t(sums.size()), [&](int64_t task) {
    double sum = 0;
    for (int64_t i = task * kChunk; i < std::min(n, (task + 1) * kChunk); ++i) {
      const float d = a[i] - b[i];
      sum += double(d) * d;
      if (ga != nullptr) ga[i] += slope * d;
      if (gb != nullptr) gb[i] -= slope * d;
    }
    sums[size_t(task)] = sum;
  });
  return strength * std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

double couple_l2(Context& ctx, autograd::ParamStore& store, const std::vector<models::Coupling>& ties,
                 bool gradients) {
  double total = 0;
  for (const models::Coupling& tie : ties)
    total += couple(ctx, parameter(store, tie.first), parameter(store, tie.second), tie.strength, gradients);
  return total;
}

}  // namespace mtyolo::train
